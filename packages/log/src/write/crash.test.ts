import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { fromUtf8, toHex } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { expect, it } from "vitest";
import { openReader } from "../client.ts";
import { Frontier, hashLeaf } from "../tree.ts";
import { verifierKey } from "../vkey.ts";
import { readDirectory } from "./directory.ts";
import { fsckDirectory } from "./fsck.ts";
import { openLog } from "./sequencer.ts";

const origin = "log.example/crash";
const signer = ed25519Signer(new Uint8Array(32).fill(7));
const log = verifierKey(origin, "note", signer.publicKey);
const here = (path: string) => pathToFileURL(fileURLToPath(new URL(path, import.meta.url))).href;

/** Appends for ever and says which entries were acknowledged and which roots were signed. */
const child = `
import { writeSync } from "node:fs";
import { ed25519Signer, nodeSuite } from ${JSON.stringify(import.meta.resolve("@countersign/core/node"))};
import { openLog } from ${JSON.stringify(here("./sequencer.ts"))};
const [dir, run] = process.argv.slice(2);
const signer = ed25519Signer(new Uint8Array(32).fill(7));
const log = await openLog({ dir, origin: ${JSON.stringify(origin)}, signer, suite: nodeSuite, flushEvery: 0, segmentBytes: 60000 });
const say = (line) => writeSync(1, line + "\\n");
const root = ({ size, root }) => say("root " + size + " " + Buffer.from(root).toString("hex"));
root(log.head());
log.onCheckpoint(root);
const caller = async (k) => {
  for (let i = 0; ; i++) {
    const text = "run " + run + " caller " + k + " entry " + i + " " + "x".repeat(i % 90);
    const { index } = await log.append(Buffer.from(text));
    say("entry " + index + " " + text);
  }
};
for (let k = 0; k < 24; k++) caller(k);
`;

it("loses nothing acknowledged and contradicts no root when it is killed, again and again", async () => {
  const dir = mkdtempSync(join(tmpdir(), "countersign-crash-"));
  const script = join(dir, "child.mjs");
  writeFileSync(script, child);
  const entries = new Map<number, string>();
  const roots = new Map<number, string>();
  let seed = 20261121;
  const random = (n: number) => {
    seed = (seed * 48271) % 2147483647;
    return seed % n;
  };
  try {
    for (let run = 0; run < 7; run++) {
      const victim = spawn(process.execPath, [script, dir, String(run)], { stdio: ["ignore", "pipe", "inherit"] });
      let left = 30 + random(1500);
      for await (const line of createInterface({ input: victim.stdout })) {
        const [what, at, ...rest] = line.split(" ");
        const known = what === "root" ? roots : entries;
        const value = rest.join(" ");
        // One size has one root and one index one entry, across all runs.
        if (known.has(Number(at))) expect(known.get(Number(at))).toBe(value);
        known.set(Number(at), value);
        left -= 1;
        if (left === 0) victim.kill("SIGKILL");
      }
      expect(victim.signalCode ?? "SIGKILL").toBe("SIGKILL");
      expect(left).toBeLessThanOrEqual(0);
    }
    const last = await openLog({ dir, origin, signer, suite: nodeSuite });
    await last.close();
    const reader = openReader({ fetchTile: readDirectory(dir), log, suite: nodeSuite });
    const checkpoint = await reader.checkpoint();
    const frontier = new Frontier();
    const matched = { entries: 0, roots: 0 };
    const check = () => {
      const root = roots.get(frontier.size);
      if (root === undefined) return;
      expect(root).toBe(toHex(frontier.root()));
      matched.roots += 1;
    };
    check();
    for await (const { index, entry } of reader.entries(checkpoint, 0, checkpoint.size)) {
      frontier.push(hashLeaf(entry));
      check();
      const acknowledged = entries.get(index);
      if (acknowledged === undefined) continue;
      expect(fromUtf8(entry)).toBe(acknowledged);
      matched.entries += 1;
    }
    expect(matched).toEqual({ entries: entries.size, roots: roots.size });
    expect(entries.size).toBeGreaterThan(200);
    expect((await fsckDirectory({ dir, log, suite: nodeSuite })).faults).toEqual([]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}, 60_000);
