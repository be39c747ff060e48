import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { CountersignError, fromHex, toHex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import { formatVkey, verifierKey } from "@countersign/log";
import type { Command } from "commander";
import { readText } from "../files.ts";
import { note, paint, print, printJson } from "../terminal.ts";

type Shown = { readonly logOrigin?: string; readonly json?: boolean };

const misused = (message: string, remedy: string): never => {
  throw new CountersignError("COMMAND_MISUSED", { message, remedy });
};

/** A seed out of the named variable, or from standard input for "-"; never an argument. @throws COMMAND_MISUSED */
async function readSeed(from: string): Promise<Uint8Array> {
  if (from !== "-" && !/^[A-Z][A-Z0-9_]{0,63}$/.test(from))
    misused(
      "A seed is never an argument: every user of this machine could read it.",
      'Name the environment variable that holds it, or give "-" and the seed on standard input.',
    );
  const text = from === "-" ? await readText("-") : process.env[from];
  if (text === undefined)
    return misused(`${from} is not set.`, "Set it to the seed, or read the seed from a file: - < FILE");
  return /^[0-9a-f]{64}$/.test(text.trim())
    ? fromHex(text.trim())
    : misused("There is no seed of 64 lowercase hexadecimal digits.", "Make one: countersign keys new --out FILE");
}

/** The public key, and the key of a log with this seed where its origin is named. */
function show(seed: Uint8Array, { logOrigin, json }: Shown): void {
  const { publicKey } = ed25519Signer(seed);
  const log = logOrigin === undefined ? undefined : formatVkey(verifierKey(logOrigin, "note", publicKey));
  if (json) {
    printJson({ key: toHex(publicKey), ...(log !== undefined && { log }) });
    return;
  }
  print(toHex(publicKey));
  if (log !== undefined) print(log);
}

const origin = [
  "--log-origin <origin>",
  "also show the verifier key of a log with this origin, for a trust file",
] as const;

/** `countersign keys`: Ed25519 seeds of registrars, publishers, gateways, nodes and logs. */
export function keysCommand(program: Command): void {
  const command = program.command("keys").summary("make a seed, and show the public key of one");

  command
    .command("new")
    .description(
      "Draws an Ed25519 seed, writes it to a file that only you can read, and shows its public key. One seed for each role.",
    )
    .requiredOption("--out <file>", "where the seed goes; a file that is there is never overwritten")
    .option(...origin)
    .option("--json", "print JSON")
    .action(async (options: Shown & { out: string }) => {
      const seed = randomBytes(32);
      try {
        await writeFile(options.out, `${toHex(seed)}\n`, { mode: 0o600, flag: "wx" });
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
        misused(`${options.out} is there already, and may hold a seed.`, "Name another file.");
      }
      show(seed, options);
      note(paint("dim", `The seed is in ${options.out}. Whoever has it signs as you.`, process.stderr));
    });

  command
    .command("show")
    .description("Shows the public key of a seed.")
    .argument("<from>", 'the environment variable that holds the seed, or "-" for standard input')
    .option(...origin)
    .option("--json", "print JSON")
    .action(async (from: string, options: Shown) => show(await readSeed(from), options));
}
