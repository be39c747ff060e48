import type { Verdict } from "@countersign/core";
import { Engines, replayReceipt } from "@countersign/node";
import { tellReplay } from "../tell-replay.ts";
import { findSpec } from "../weights.ts";
import { attempt, type Play } from "./fraud.ts";
import { stageModels } from "./stage.ts";

// A smaller sister often gives the very answer of the larger one, so an honest demonstration asks until they differ.
const questions = [
  "What is the capital of Portugal?",
  "What is the chemical symbol of tungsten?",
  "Tell me about the moon.",
  "Write three sentences about a lighthouse.",
  "Which country is Windhoek the capital of, and what do you like about it?",
  "List ten colours and ten animals.",
] as const;

const expected = "REPLAY_MISMATCH";
const fraud = {
  name: "lying-node",
  what: `a node runs ${stageModels.cheap} and signs that it was ${stageModels.chat}`,
  by: "a registered node, behind an honest gateway",
  expected,
} as const;

/** Whether a verdict says that nothing shows which model really ran. */
const leavesExecutionOpen = ({ findings }: Verdict) =>
  findings.filter((f) => f.claim === "execution").every((f) => f.status === "unproven");

/**
 * A node runs a smaller model than it says, and signs the lie: the fraud which the level `signature` cannot catch.
 *
 * The gateway is honest and sees nothing either. Whoever holds the open weights can run it again and see other tokens.
 */
export const playLyingNode: Play = async (stage) => {
  const client = stage.client(stage.gateway.url);
  const engines = new Engines();
  const options = { model: stageModels.chat, policy: "signature", synthetic: true } as const;
  let alike = 0;
  try {
    for (const content of questions) {
      const ended = await attempt(() => client.chat([{ role: "user", content }], options));
      if (ended.status === "refused")
        return {
          ...fraud,
          caught: ended.error.code,
          held: false,
          detail: `It should be answered: ${ended.error.code}.`,
        };
      const { verdict, receipt } = ended.value;
      const blind = verdict.outcome === "met" && leavesExecutionOpen(verdict);
      const replay = await replayReceipt({ receipt, models: (m) => findSpec(stage.catalogue, m), engines });
      if (blind && replay.status === "same") {
        alike++;
        continue;
      }
      return {
        ...fraud,
        caught: replay.code ?? null,
        held: blind && replay.status === "different",
        detail: `The level signature was ${verdict.outcome.toUpperCase()}: it cannot catch this, and says so (execution: ${leavesExecutionOpen(verdict) ? "unproven" : "PROVEN"}). Replay with the open weights: ${tellReplay(replay)}.${alike > 0 ? ` For ${alike} question(s) before, both models gave the same tokens: one replay tells of one answer.` : ""}`,
      };
    }
    const detail = `For all ${alike} questions both models gave the same tokens, so there was nothing to see.`;
    return { ...fraud, caught: null, held: false, detail };
  } finally {
    await engines.close();
  }
};
