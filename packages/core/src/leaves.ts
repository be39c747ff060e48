import * as z from "zod";
import { canonicalBytes } from "./canonical.ts";
import { hex32, name } from "./shapes.ts";

/** Leaf `offer`: which offer was accepted and, for several inferences in one transaction, which step this is (B1). */
export const offerLeafShape = z.strictObject({
  offer: hex32,
  terms: hex32.nullable(),
  step: z.number().int().min(0).max(255),
  links: z
    .array(
      z.strictObject({
        slot: z.string().max(128),
        fromStep: z.number().int().min(0).max(255),
        outputRoot: hex32,
        selector: z.string().max(128),
      }),
    )
    .max(64),
});
export type OfferLeaf = z.infer<typeof offerLeafShape>;

/** Leaf `model`: what was asked for and what answered. */
export const modelLeafShape = z.strictObject({
  /** The name as the caller wrote it, without a level suffix. */
  requested: z.string().min(1).max(256),
  manifest: hex32,
  deployment: z.strictObject({ id: name, version: z.number().int().min(1) }),
  /** The name under which another host said it answered, for `origin`; null when this node ran the weights. */
  served: z.string().max(256).nullable(),
  /** The model that was replaced with the caller's leave, or null. */
  substitutedFrom: z.string().max(256).nullable(),
});
export type ModelLeaf = z.infer<typeof modelLeafShape>;

/** Leaf `profile`: what a re-execution needs to give the same tokens. No prompt- or output-derived data (A5). */
export const profileLeafShape = z.strictObject({
  engine: name,
  version: z.string().max(64),
  /** SHA-256 of the native library that ran, or null where there is none. */
  library: hex32.nullable(),
  /** CPU variant, device or execution provider, as the engine names it. */
  device: z.string().max(128),
  dtype: z.string().max(64),
  /** Engine settings that change bits: threads, batch, flash-attention, graph optimisation. */
  settings: z.record(name, z.string().max(128)),
  /** How tokens are chosen: greedy or the sampler's parameters. */
  sampler: z.record(name, z.string().max(128)),
  /** Seed of each choice; empty where nothing is drawn. */
  seeds: z.array(z.number().int().min(0).max(4_294_967_295)).max(128),
});
export type ProfileLeaf = z.infer<typeof profileLeafShape>;

/** Leaf `result`: how the run ended and what it used. */
export const resultLeafShape = z.strictObject({
  usage: z.strictObject({
    prompt_tokens: z.number().int().min(0),
    completion_tokens: z.number().int().min(0),
    total_tokens: z.number().int().min(0),
  }),
  finish: z.array(z.string().max(64)).max(128),
  timings: z.strictObject({
    queued: z.number().int().min(0),
    prompt: z.number().int().min(0),
    generation: z.number().int().min(0),
  }),
});

/** Leaf `modelInput` of a language model: token ids after the template. */
export const modelInputShape = z.strictObject({ tokens: z.array(z.number().int().min(0).max(4_294_967_295)) });

/** Element behind an answer in `output`: token ids and log probabilities. */
export const tokensShape = z.strictObject({
  ids: z.array(z.number().int().min(0).max(4_294_967_295)),
  logprobs: z.array(z.string().max(32)).nullable(),
});

/** Canonical bytes of a leaf's content after checking its shape. */
export const leafBytes = <T>(shape: z.ZodType<T>, value: T): Uint8Array => canonicalBytes(shape.parse(value));
