import { CountersignError, type Json, type JsonObject, type Param } from "@countersign/core";
import * as z from "zod";
import type { Sampling } from "../engines/language.ts";

/** Reads one parameter's value. */
export type ParameterTable = Readonly<Record<string, z.ZodType>>;

// Steer the transport or the checking, not the model: gateway and core take care of them.
const transport = new Set(["model", "stream", "stream_options", "verification", "user"]);

const transportShape = z.object({
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
    .nullish(),
  user: z.string().max(512).nullish(),
});

/**
 * Reads the parameters that a task knows; `null` means its default. Nothing is dropped: a name that is not in the table
 * is refused, and so is a value that this engine does not honour.
 *
 * @param content Members that hold content, read elsewhere.
 * @throws PARAMETER_NOT_SUPPORTED, REQUEST_FIELD_INVALID
 */
export function readParameters<T extends ParameterTable>(
  body: JsonObject,
  table: T,
  content: readonly string[],
): { readonly [K in keyof T]?: z.infer<T[K]> } {
  check(transportShape, pick(body, ["stream", "stream_options", "user"]));
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    if (transport.has(name) || content.includes(name)) continue;
    const shape = Object.hasOwn(table, name) ? table[name] : undefined;
    if (shape === undefined) throw unsupported(name, `The parameter ${name} is not supported.`);
    if (value !== null) out[name] = check(shape, value, name);
  }
  return out as { readonly [K in keyof T]?: z.infer<T[K]> };
}

/** A refusal of a parameter by its name. */
export const unsupported = (param: string, message: string, why?: string): CountersignError =>
  new CountersignError("PARAMETER_NOT_SUPPORTED", {
    message,
    why,
    remedy: "Leave it out. It is refused because dropping it would give another answer than you asked for.",
    param,
  });

/** Reads a value by its shape. @throws REQUEST_FIELD_INVALID with the path; PARAMETER_NOT_SUPPORTED for `only` values */
export function check<T>(shape: z.ZodType<T>, value: unknown, param = ""): T {
  const read = shape.safeParse(value);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  const path = [param, ...(issue?.path.map(String) ?? [])].filter((p) => p !== "").join(".");
  if (issue?.message.startsWith("only ")) throw unsupported(path, `${path} is supported with ${issue.message} alone.`);
  throw new CountersignError("REQUEST_FIELD_INVALID", {
    message: `\`${path}\` has a wrong value: ${issue?.message ?? "unreadable"}.`,
    param: path,
  });
}

/** A parameter that is honoured with these values alone, because they ask for what is done anyway. */
export const only = (...values: readonly Json[]): z.ZodType =>
  z.custom(
    (v) => values.some((w) => JSON.stringify(w) === JSON.stringify(v)),
    `only ${values.map((v) => JSON.stringify(v)).join(" or ")}`,
  );

const pick = (body: JsonObject, names: readonly string[]): JsonObject =>
  Object.fromEntries(names.flatMap((n) => (body[n] === undefined ? [] : [[n, body[n]]])));

const number = (low: number, high: number) => z.number().min(low).max(high);
const text = z.string().min(1).max(256);

/** Sampling parameters that all text endpoints share. */
export const samplingTable = {
  temperature: number(0, 2),
  top_p: number(0, 1).gt(0),
  top_k: z.number().int().min(0).max(1_000_000),
  min_p: number(0, 1),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  logit_bias: z.record(z.string().regex(/^(?:0|[1-9][0-9]{0,9})$/), number(-100, 100)),
  seed: z.number().int().min(0).max(4_294_967_295),
} as const;

/** More parameters of chat and completion. */
export const generationTable = {
  ...samplingTable,
  n: z.number().int().min(1).max(8),
  stop: z.union([text, z.array(text).min(1).max(4)]),
} as const;

type SamplingValues = { readonly [K in keyof typeof samplingTable]?: z.infer<(typeof samplingTable)[K]> | undefined };

/** The rules that sampling parameters come to; greedy where none is given. */
export const readSampling = (p: SamplingValues): Sampling => ({
  temperature: p.temperature ?? 0,
  topP: p.top_p ?? 1,
  topK: p.top_k ?? 0,
  minP: p.min_p ?? 0,
  frequencyPenalty: p.frequency_penalty ?? 0,
  presencePenalty: p.presence_penalty ?? 0,
  bias: Object.entries(p.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias] as const),
});

/** Defaults in effect where a request says nothing; committed together with what it says. */
export const samplingDefaults: Readonly<Record<string, Param>> = {
  temperature: 0,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  frequency_penalty: 0,
  presence_penalty: 0,
};
