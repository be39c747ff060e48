import { CountersignError, errorTable } from "@countersign/core";

/**
 * An error of a sealed run as it may be told in clear: its code and the code's own sentence.
 *
 * Messages of errors quote what they are about, parameters are named by whoever writes the request: behind the opened
 * request both are content. For the same reason a fault that nobody knows is logged without its words.
 */
export function quiet(error: unknown): CountersignError {
  if (CountersignError.is(error)) return new CountersignError(error.code, { message: errorTable[error.code].title });
  console.error("A sealed run failed in a way that the node does not know; its words are kept back.");
  return new CountersignError("INTERNAL", { message: errorTable.INTERNAL.title });
}
