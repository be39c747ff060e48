import { CountersignError } from "../errors/error.ts";
import type { Output } from "../output.ts";

/** How much of each choice's text was written already. */
export type Pieces = {
  /** Notes a piece. */
  readonly add: (choice: number, text: string) => void;
  /** The part of a whole text that is not written yet; undefined when nothing has to be written. @throws OUTPUT_MISMATCH */
  readonly rest: (choice: number, whole: string | null) => string | undefined;
};

/**
 * Follows the texts of a stream.
 *
 * An answer without text (null) and an empty text are two things (tool calls have no text), so an empty piece is written
 * exactly when the whole text is empty.
 */
export function followPieces(): Pieces {
  const written = new Map<number, string[]>();
  return {
    add(choice, text) {
      const list = written.get(choice);
      if (list) list.push(text);
      else written.set(choice, [text]);
    },
    rest(choice, whole) {
      const sent = (written.get(choice) ?? []).join("");
      if (whole?.startsWith(sent)) {
        if (whole === sent && sent !== "") return undefined;
        return whole.slice(sent.length);
      }
      if (whole === null && sent === "") return undefined;
      throw new CountersignError("OUTPUT_MISMATCH", {
        message: "The pieces that the node streamed are not the answer that it committed to.",
        why: `Choice ${choice} differs.`,
      });
    },
  };
}

/** The refusal of an answer that the endpoint cannot write. */
export const wrongKind = (output: Output) =>
  new CountersignError("UPSTREAM_MALFORMED", {
    message: "The node's answer is of another kind than the endpoint gives.",
    why: `It is a ${output.kind}.`,
  });
