import type { Ext } from "./field.ts";
import { newTranscript, type Transcript } from "./transcript.ts";

type Answer = Ext | readonly number[];

/** A real transcript that also keeps its answers. */
export const recording = (): { readonly transcript: Transcript; readonly answers: readonly Answer[] } => {
  const inner = newTranscript();
  const answers: Answer[] = [];
  const keep = <T extends Answer>(answer: T): T => {
    answers.push(answer);
    return answer;
  };
  const element = (): Ext => keep(inner.element());
  const columns = (count: number, n: number): readonly number[] => keep(inner.columns(count, n));
  return { transcript: { absorb: inner.absorb, element, columns }, answers };
};

/** Gives recorded answers whatever is absorbed: a changed message then meets the inner checks, not a Merkle path. */
export const replaying = (answers: readonly Answer[]): Transcript => {
  let at = 0;
  const next = (): Answer => {
    const answer = answers[at++];
    if (answer === undefined) throw new Error("more challenges than were recorded");
    return answer;
  };
  return { absorb: () => undefined, element: () => next() as Ext, columns: () => next() as readonly number[] };
};
