import type { JsonObject } from "../json.ts";
import type { Output } from "../output.ts";
import type { RunEvent, RunResult, TokenLogprob, Usage } from "../run.ts";

/** What is known of an answer before its first byte. */
export type AnswerHead = {
  /** The receipt's id: answers are named after it. */
  readonly id: string;
  /** The model that runs, by its registered name; never an echo of what was asked for. */
  readonly model: string;
  /** Seconds. */
  readonly created: number;
  /** The request's body, for endpoints that repeat parameters. */
  readonly request: JsonObject;
};

/** A whole answer as the node committed to it, and the log probabilities that came with its pieces. */
export type Answer = {
  readonly outputs: readonly Output[];
  readonly result: RunResult;
  /** By choice; empty where none were asked for. */
  readonly logprobs: ReadonlyMap<number, readonly TokenLogprob[]>;
};

/** A piece of an answer, as the node streams it. */
export type Delta = Extract<RunEvent, { type: "delta" }>;

/** An answer as server-sent events; every method gives text to write, which may be empty. */
export type StreamRendering = {
  readonly open: () => string;
  readonly delta: (delta: Delta) => string;
  /** What the pieces have not told: the rest of each text, tool calls, finish reasons. @throws OUTPUT_MISMATCH */
  readonly close: (answer: Answer) => string;
  /** The last events: usage, and the extra field for clients that read it. */
  readonly last: (answer: Answer, extra: JsonObject | undefined) => string;
};

/** One endpoint's form of an answer: what core's `readDelivered` reads back is the committed output, bit for bit. */
export type Renderer = {
  /** JSON text of one object. */
  readonly json: (head: AnswerHead, answer: Answer) => string;
  /** Absent where the endpoint cannot stream. */
  readonly stream?: (head: AnswerHead) => StreamRendering;
};

/** JSON text of an object with one more member at its end. */
export const withField = (json: string, name: string, value: JsonObject): string =>
  `${json.slice(0, -1)},${JSON.stringify(name)}:${JSON.stringify(value)}}`;

export const usageOf = ({ prompt_tokens, completion_tokens, total_tokens }: Usage) => ({
  prompt_tokens,
  completion_tokens,
  total_tokens,
});

/** A log probability as JSON can hold it: OpenAI writes -9999 for one that is minus infinity. */
export const logprobNumber = (text: string): number => {
  const value = Number(text);
  return Number.isFinite(value) ? value : -9999;
};
