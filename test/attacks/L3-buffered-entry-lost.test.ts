import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { openReader, verifierKey } from "@countersign/log";
import { openLog, readDirectory } from "@countersign/log/write";
import { expect, test } from "vitest";

const origin = "log.test/crash";
const signer = ed25519Signer(new Uint8Array(32).fill(7));

/** Appends and says which entries were acknowledged, until it is killed. */
const child = `
import { writeSync } from "node:fs";
import { ed25519Signer, nodeSuite } from ${JSON.stringify(import.meta.resolve("@countersign/core/node"))};
import { openLog } from ${JSON.stringify(import.meta.resolve("@countersign/log/write"))};
const signer = ed25519Signer(new Uint8Array(32).fill(7));
const log = await openLog({ dir: process.argv[2], origin: ${JSON.stringify(origin)}, signer, suite: nodeSuite });
const caller = async (k) => {
  for (let i = 0; ; i++) {
    const { index } = await log.append(Buffer.from("caller " + k + " entry " + i));
    writeSync(1, index + " caller " + k + " entry " + i + "\\n");
  }
};
for (let k = 0; k < 8; k++) caller(k);
`;

test("L3: what was acknowledged is in the log after the process was killed", async () => {
  const dir = mkdtempSync(join(tmpdir(), "countersign-l3-"));
  const script = join(dir, "child.mjs");
  writeFileSync(script, child);
  const acknowledged = new Map<number, string>();
  try {
    const victim = spawn(process.execPath, [script, join(dir, "log")], { stdio: ["ignore", "pipe", "inherit"] });
    let left = 500;
    for await (const line of createInterface({ input: victim.stdout })) {
      const [index, ...text] = line.split(" ");
      acknowledged.set(Number(index), text.join(" "));
      if (--left === 0) victim.kill("SIGKILL");
    }
    expect(acknowledged.size).toBeGreaterThanOrEqual(500);
    const again = await openLog({ dir: join(dir, "log"), origin, signer, suite: nodeSuite });
    await again.close();
    const log = verifierKey(origin, "note", signer.publicKey);
    const reader = openReader({ fetchTile: readDirectory(join(dir, "log")), log, suite: nodeSuite });
    const checkpoint = await reader.checkpoint();
    let found = 0;
    for await (const { index, entry } of reader.entries(checkpoint, 0, checkpoint.size)) {
      const said = acknowledged.get(index);
      if (said === undefined) continue;
      expect(new TextDecoder().decode(entry)).toBe(said);
      found++;
    }
    expect(found).toBe(acknowledged.size);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
