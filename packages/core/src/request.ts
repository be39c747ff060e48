import { utf8 } from "./bytes.ts";
import { canonicalBytes } from "./canonical.ts";
import type { Content, Contents } from "./commit.ts";
import { CountersignError } from "./errors/error.ts";
import { sha256Hex, taggedHash } from "./hash.ts";
import { type Json, type JsonObject, parseObjectWithSlices } from "./json.ts";

/** Where each endpoint keeps its content; everything else in a body is a parameter. */
export const endpoints = {
  "/v1/chat/completions": { content: "messages", task: "chat" },
  "/v1/completions": { content: "prompt", task: "completion" },
  "/v1/responses": { content: "input", task: "responses" },
  "/v1/embeddings": { content: "input", task: "embedding" },
  "/v1/infer": { content: "inputs", task: "tensors" },
} as const;
export type EndpointPath = keyof typeof endpoints;
/** Every endpoint that gives receipts. */
export const endpointPaths = Object.keys(endpoints) as EndpointPath[];

/** Members that steer the transport or the checking, not the model. */
const transport = new Set(["model", "stream", "stream_options", "verification", "user"]);

/** A parameter as it is committed: decimals as strings, structures by the digest of the bytes received. */
export type Param = null | boolean | number | string | readonly string[] | { readonly sha256: string };

/** A request taken apart, every part committed as the bytes received. */
export type ParsedRequest = {
  readonly path: EndpointPath;
  readonly value: JsonObject;
  /** `model` as written, without a level suffix. */
  readonly model: string;
  /** Level suffix after the colon, if any. */
  readonly suffix: string | undefined;
  /** Leaves 0 and 3–5: what anybody with the body can recompute. */
  readonly contents: Pick<Contents, "rawRequest" | "system" | "messages" | "tools">;
  /** Every parameter asked for. */
  readonly params: Readonly<Record<string, Param>>;
};

function textOf(content: Json | undefined): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  const parts = content.flatMap((part) => {
    const text = typeof part === "object" && part !== null ? (part as JsonObject).text : undefined;
    return typeof text === "string" ? [text] : [];
  });
  return parts.join("");
}

/** Texts of system and developer messages, in order, joined by a blank line; undefined when there is none. */
export function systemText(value: JsonObject): string | undefined {
  const texts: string[] = [];
  if (typeof value.instructions === "string") texts.push(value.instructions);
  for (const list of [value.messages, value.input]) {
    if (!Array.isArray(list)) continue;
    for (const m of list as readonly Json[]) {
      if (typeof m !== "object" || m === null || Array.isArray(m)) continue;
      const { role, content } = m as JsonObject;
      const text = role === "system" || role === "developer" ? textOf(content) : undefined;
      if (text !== undefined) texts.push(text);
    }
  }
  return texts.length > 0 ? texts.join("\n\n") : undefined;
}

const toParam = (value: Json, slice: Uint8Array): Param => {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) && !Object.is(value, -0) ? value : String(value);
  if (Array.isArray(value) && value.every((v): v is string => typeof v === "string")) return value;
  return { sha256: sha256Hex(slice) };
};

/**
 * Takes a request body apart (spec/receipt.md §3.2): the same function in the node that commits and in the verifier
 * that recomputes.
 *
 * @throws REQUEST_MALFORMED, REQUEST_NOT_CANONICAL, REQUEST_FIELD_INVALID
 */
export function parseRequest(path: EndpointPath, body: Uint8Array): ParsedRequest {
  const { value, slices } = parseObjectWithSlices(body);
  const invalid = (param: string, message: string): never => {
    throw new CountersignError("REQUEST_FIELD_INVALID", { message, param });
  };
  const { model } = value;
  if (typeof model !== "string" || model === "" || model.length > 256)
    return invalid("model", "`model` must be a model's name.");
  const colon = model.lastIndexOf(":");
  const { content } = endpoints[path];
  const slice = (name: string): Uint8Array => {
    const [from, to] = slices.members.get(name) as readonly [number, number];
    return body.subarray(from, to);
  };
  const list = (name: string): Content => {
    const elements = slices.elements.get(name);
    if (elements) return elements.map(([from, to]) => body.subarray(from, to));
    return slices.members.has(name) ? [slice(name)] : undefined;
  };
  if (value[content] === undefined) invalid(content, `\`${content}\` is missing.`);
  const params: Record<string, Param> = {};
  for (const [name, member] of Object.entries(value)) {
    if (transport.has(name) || name === content || name === "tools") continue;
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) invalid(name.slice(0, 64), "A parameter's name must be plain ASCII.");
    params[name] = toParam(member, slice(name));
  }
  const system = systemText(value);
  return {
    path,
    value,
    model: colon < 0 ? model : model.slice(0, colon),
    suffix: colon < 0 ? undefined : model.slice(colon + 1),
    contents: {
      rawRequest: body,
      system: system === undefined ? undefined : utf8(system),
      messages: list(content),
      tools: list("tools"),
    },
    params,
  };
}

/** Bytes of leaf `params`: the parameters in effect, defaults included. Every requested one must be among them (R5). */
export function paramsBytes(effective: Readonly<Record<string, Param>>): Uint8Array {
  return canonicalBytes(effective);
}

/** Seed of a choice when the caller gives none: nobody can re-roll it after seeing an answer (A4). 32 bits. */
export function deriveSeed(clientNonce: Uint8Array, requestDigest: Uint8Array, choice: number): number {
  const h = taggedHash("countersign/seed/v1", clientNonce, requestDigest, new Uint8Array([choice >> 8, choice & 255]));
  return new DataView(h.buffer, h.byteOffset).getUint32(0);
}

/** Seed of choice `i`: the caller's seed plus `i` when he gave one, else derived from his nonce (spec/receipt.md §3.4). */
export function choiceSeed(
  asked: number | undefined,
  clientNonce: Uint8Array,
  requestDigest: Uint8Array,
  choice: number,
): number {
  return asked === undefined ? deriveSeed(clientNonce, requestDigest, choice) : (asked + choice) % 2 ** 32;
}
