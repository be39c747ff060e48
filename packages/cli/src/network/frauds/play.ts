import { playAlteredOutput, playAlteredOutputStream } from "./altered-output.ts";
import type { Fraud, Play } from "./fraud.ts";
import type { Ground } from "./ground.ts";
import { playLyingNode } from "./lying-node.ts";
import { playRewrittenPrompt, playRewrittenPromptColluding } from "./rewritten-prompt.ts";
import { playSplitLog } from "./split-log.ts";
import { openStage } from "./stage.ts";
import { playSwappedFile } from "./swapped-file.ts";
import { playWeakerLevel } from "./weaker-level.ts";

const plays: readonly Play[] = [
  playSwappedFile,
  playRewrittenPrompt,
  playRewrittenPromptColluding,
  playAlteredOutput,
  playAlteredOutputStream,
  playWeakerLevel,
  playSplitLog,
  playLyingNode,
];

/** Plays every fraud on a running network, one after the other. A play that fails to run is an error, never a pass. */
export async function playFrauds(ground: Ground, onDone?: (fraud: Fraud) => void): Promise<readonly Fraud[]> {
  const stage = await openStage(ground);
  const done: Fraud[] = [];
  try {
    for (const play of plays) {
      const fraud = await play(stage);
      done.push(fraud);
      onDone?.(fraud);
    }
  } finally {
    await stage.close();
  }
  return done;
}
