import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CountersignError, fromHex, type Signer, toHex } from "@countersign/core";
import { ed25519Signer, generateSeed } from "@countersign/core/node";

/** Replaces a file's content in one step that is on the disk when this returns. */
export function replaceFile(file: string, content: string): void {
  const fd = openSync(`${file}.tmp`, "w", 0o600);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${file}.tmp`, file);
  const dir = openSync(dirname(file), "r");
  try {
    fsyncSync(dir);
  } finally {
    closeSync(dir);
  }
}

/** A file's text, or undefined when there is none. */
export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The key in a directory under a name; drawn on the first start. @throws CONFIG_INVALID for a damaged file */
export function openKey(dir: string, name: string): Signer {
  const file = join(dir, `${name}.seed`);
  let text = readIfThere(file);
  if (text === undefined) {
    text = `${toHex(generateSeed())}\n`;
    replaceFile(file, text);
  }
  // A damaged key must not be replaced by a new one: others know the old one.
  if (!/^[0-9a-f]{64}\n?$/.test(text))
    throw new CountersignError("CONFIG_INVALID", {
      message: `The key file ${file} does not hold 64 hexadecimal digits.`,
      remedy: "Restore it from a backup. A new key is a new auditor.",
    });
  return ed25519Signer(fromHex(text.trim()));
}
