import { fromUtf8, utf8 } from "./bytes.ts";
import { CountersignError } from "./errors/error.ts";
import { type Json, parseJson } from "./json.ts";

const key = /^[A-Za-z0-9_.:/-]{1,64}$/;

function write(value: unknown, depth: number): string {
  if (depth > 64) throw new RangeError("nesting deeper than 64");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new RangeError(`${value} is not a safe integer`);
    return String(value);
  }
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new RangeError("a string holds a lone surrogate");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((v) => write(v, depth + 1)).join(",")}]`;
  if (typeof value !== "object") throw new RangeError(`a ${typeof value} has no canonical form`);
  const members = Object.keys(value).sort();
  return `{${members
    .map((name) => {
      if (!key.test(name) || name === "__proto__") throw new RangeError(`${JSON.stringify(name)} is no canonical key`);
      return `${JSON.stringify(name)}:${write((value as Record<string, unknown>)[name], depth + 1)}`;
    })
    .join(",")}}`;
}

/**
 * Canonical bytes of a value: RFC 8785 restricted to ASCII keys, safe integers and well-formed strings
 * (spec/receipt.md §1). Decimals travel as strings, digests as lowercase hex.
 *
 * @throws RangeError for anything outside the subset; nothing is rounded or replaced.
 */
export function canonicalBytes(value: unknown): Uint8Array {
  return utf8(write(value, 0));
}

/** Whether every part of a value read by JSON.parse has a canonical form and stands in canonical order. */
function isCanonical(value: unknown, depth: number): boolean {
  if (depth > 64) return false;
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") return Number.isSafeInteger(value) && !Object.is(value, -0);
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) {
    for (const part of value) if (!isCanonical(part, depth + 1)) return false;
    return true;
  }
  let before = "";
  for (const name of Object.keys(value)) {
    if (name <= before || name === "__proto__" || !key.test(name)) return false;
    before = name;
    if (!isCanonical((value as Record<string, unknown>)[name], depth + 1)) return false;
  }
  return true;
}

/** The value of a canonical text by the engine's own reader, or undefined where `readSlowly` has to say. */
function readFast(text: string): Json | undefined {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
  // White space, a second spelling or a key that stands twice is lost in the value, so its text is another one.
  return isCanonical(value, 0) && JSON.stringify(value) === text ? value : undefined;
}

function readSlowly(text: string): Json {
  const value = parseJson(text);
  if (write(value, 0) !== text) throw new RangeError("the bytes are not the canonical encoding of their value");
  return value;
}

/**
 * Reads canonical bytes and nothing else: the bytes must be what `canonicalBytes` gives for the value they hold.
 *
 * @throws STATEMENT_MALFORMED
 */
export function parseCanonical(bytes: Uint8Array): Json {
  try {
    const text = fromUtf8(bytes);
    return readFast(text) ?? readSlowly(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : undefined;
    throw new CountersignError("STATEMENT_MALFORMED", { message: "Signed bytes are not canonical JSON.", why, cause });
  }
}
