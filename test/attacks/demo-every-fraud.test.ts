// The frauds of `countersign demo`, against a whole network of processes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { groundOf } from "../../packages/cli/src/network/frauds/ground.ts";
import { playFrauds } from "../../packages/cli/src/network/frauds/play.ts";
import { startNetwork } from "../../packages/cli/src/network/start.ts";

test("every fraud of the demonstration is caught with its own code, and the honest one is told as it is", async () => {
  const home = mkdtempSync(join(tmpdir(), "countersign-demo-"));
  const network = await startNetwork({ home, port: 0, models: ["countersign-pocket", "lande-50"] });
  try {
    const frauds = await playFrauds(groundOf(network));
    expect(frauds.map((f) => [f.name, f.caught])).toEqual([
      ["swapped-file", "MODEL_DIGEST_MISMATCH"],
      ["rewritten-prompt", "REQUEST_MISMATCH"],
      ["rewritten-prompt-colluding", "REQUEST_MISMATCH"],
      ["altered-output", "OUTPUT_MISMATCH"],
      ["altered-output-stream", "OUTPUT_MISMATCH"],
      ["weaker-level", "LEVEL_OVERSTATED"],
      ["split-log", "LOG_SPLIT_VIEW"],
      ["lying-node", "REPLAY_MISMATCH"],
    ]);
    expect(frauds.filter((f) => !f.held)).toEqual([]);
    expect(frauds.at(-1)?.detail).toMatch(/was MET: it cannot catch this.*execution: unproven/);
  } finally {
    await network.stop();
    rmSync(home, { recursive: true, force: true });
  }
});
