import type { JsonObject, TokenLogprob } from "@countersign/core";

/** How tokens are chosen; neutral values switch a rule off. */
export type Sampling = {
  /** 0 is greedy: the likeliest token, ties to the lowest id. */
  readonly temperature: number;
  readonly topP: number;
  /** 0 is off. */
  readonly topK: number;
  readonly minP: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Added to the logits of these token ids. */
  readonly bias: readonly (readonly [number, number])[];
};

/** What a language model is to continue. */
export type LanguageInput =
  | { readonly kind: "chat"; readonly messages: readonly JsonObject[]; readonly tools: readonly JsonObject[] | null }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: readonly number[] };

/** One call of a language model. */
export type LanguageCall = {
  readonly input: LanguageInput;
  /** Tokens that each choice may have; null: `mostOutput`, or what is left of the context. */
  readonly maxTokens: number | null;
  readonly mostOutput: number;
  readonly sampling: Sampling;
  /** One seed for each choice. */
  readonly seeds: readonly number[];
  readonly stop: readonly string[];
  /** How many alternatives to report beside each token, or null for no log probabilities. */
  readonly logprobs: number | null;
  /** The answer must be JSON text, of this schema where one is given. */
  readonly grammar: { readonly schema: JsonObject | null } | null;
};

/** What a language engine says while it works. */
export type LanguageEvent =
  | {
      readonly type: "input";
      /** What the template made of the messages, or the text as it is. */
      readonly rendered: string;
      readonly tokens: readonly number[];
      readonly maxTokens: number;
    }
  | {
      readonly type: "piece";
      readonly choice: number;
      readonly text: string;
      readonly logprobs?: readonly TokenLogprob[];
    }
  | {
      readonly type: "choice";
      readonly choice: number;
      readonly text: string;
      readonly ids: readonly number[];
      readonly logprobs: readonly string[] | null;
      readonly finish: "stop" | "length";
      readonly prompt: number;
      readonly generation: number;
    };

/** What a loaded language engine says of itself. */
export type LanguageInfo = {
  readonly engine: string;
  readonly version: string;
  /** SHA-256 over the digests of the native libraries that are loaded, in name order. */
  readonly library: string;
  readonly device: string;
  readonly dtype: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly context: number;
};
