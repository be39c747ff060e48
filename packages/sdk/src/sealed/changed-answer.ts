import { CountersignError, type Hex, type JsonObject, readRun } from "@countersign/core";
import { tryReceipt } from "../judgement.ts";

/**
 * A sealed answer that does not open, with what shows whose fault it is (spec/channel.md §5).
 *
 * The node signed nonce and chunks, and the gateway countersigned after it had compared them. Where others came, they were
 * changed at the gateway or behind it; where the very same came, the enclave sealed what does not open.
 *
 * @param came Digest over nonce and chunks as they came.
 * @param countersign What stood beside them in clear; nothing of it holds content.
 */
export function withEvidence(error: unknown, came: Hex, countersign: JsonObject | undefined): unknown {
  const receipt = tryReceipt(countersign?.receipt);
  if (!receipt || !CountersignError.is(error)) return error;
  const signed = answerOf(receipt.statement);
  if (signed === undefined) return error;
  const { statement, delivery } = receipt;
  return new CountersignError(error.code, {
    ...error.detail,
    why:
      came === signed
        ? "These are the chunks that the node's statement names: so they were sealed, and the node answers for it."
        : "The node's statement names other chunks than those that came with it: they were changed after the gateway countersigned it.",
    remedy:
      came === signed
        ? error.detail.remedy
        : "Keep `facts`: the gateway signed that it delivered this statement, and must be able to show the chunks that it names.",
    facts: { came, signed, statement, delivery },
    cause: error,
  });
}

function answerOf(statement: unknown): Hex | undefined {
  try {
    return readRun(statement).predicate.channel?.answer;
  } catch (error) {
    if (CountersignError.is(error)) return undefined;
    throw error;
  }
}
