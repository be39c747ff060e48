import { fromUtf8 } from "./bytes.ts";
import { CountersignError } from "./errors/error.ts";

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** Whether a value is a JSON object. */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Where in the text the members of the top object, and the elements of the arrays among them, stand. */
export type Slices = {
  /** `[start, end)` byte offsets of each member's value. */
  readonly members: ReadonlyMap<string, readonly [number, number]>;
  /** `[start, end)` byte offsets of each element of each member that is an array. */
  readonly elements: ReadonlyMap<string, readonly (readonly [number, number])[]>;
};

const maxDepth = 64;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 forbids exactly these in a string.
const plainRun = /[^"\\\u0000-\u001f]*/y;
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

const refuse = (message: string, at: number): never => {
  throw new CountersignError("REQUEST_MALFORMED", { message: `The JSON text is malformed: ${message} at ${at}.` });
};
const ambiguous = (message: string): never => {
  throw new CountersignError("REQUEST_NOT_CANONICAL", {
    message: `The JSON text has two readings: ${message}.`,
    why: "Readers that differ on it would check different things under one signature or digest.",
  });
};

function decodeEscapes(raw: string, at: number): string {
  try {
    return JSON.parse(raw) as string;
  } catch {
    return refuse("invalid escape", at);
  }
}

/** One pass over a text; positions are in UTF-16 units, translated to bytes only for the slices. */
class Reader {
  at = 0;
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }

  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  /** Skips white space and returns the next character without taking it. */
  peek(): string {
    for (;;) {
      const c = this.text.charCodeAt(this.at);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return this.text[this.at] ?? "";
      this.at++;
    }
  }

  literal<T extends null | boolean>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) refuse("no value", this.at);
    this.at += word.length;
    return value;
  }

  take(char: string): void {
    if (this.peek() !== char) refuse(`expected ${char}`, this.at);
    this.at++;
  }

  value(depth: number): Json {
    if (depth > maxDepth) refuse(`nesting deeper than ${maxDepth}`, this.at);
    const c = this.peek();
    if (c === "{") return this.object(depth);
    if (c === "[") return this.array(depth);
    if (c === '"') return this.string();
    if (c === "t") return this.literal("true", true);
    if (c === "f") return this.literal("false", false);
    if (c === "n") return this.literal("null", null);
    return this.number();
  }

  number(): number {
    const start = this.at;
    const lexeme = this.match(number) ?? refuse("no value", start);
    const value = Number(lexeme);
    if (/^-?[0-9]+$/.test(lexeme)) {
      if (!Number.isSafeInteger(value)) ambiguous(`${lexeme} is past 2^53`);
    } else if (!Number.isFinite(value)) ambiguous(`${lexeme} is out of range`);
    return value;
  }

  string(): string {
    const start = this.at;
    let escaped = false;
    for (let i = start + 1; ; i++) {
      plainRun.lastIndex = i;
      plainRun.test(this.text);
      i = plainRun.lastIndex;
      const c = this.text.charCodeAt(i);
      if (Number.isNaN(c) || c < 0x20) refuse("unterminated string or raw control character", i);
      if (c === 0x5c) {
        escaped = true;
        i++;
      } else if (c === 0x22) {
        this.at = i + 1;
        break;
      }
    }
    const raw = this.text.slice(start, this.at);
    const value = escaped ? decodeEscapes(raw, start) : raw.slice(1, -1);
    if (!value.isWellFormed()) ambiguous("a string holds a lone surrogate");
    return value;
  }

  array(depth: number, onElement?: (start: number, end: number) => void): Json[] {
    const out: Json[] = [];
    this.take("[");
    if (this.peek() === "]") {
      this.at++;
      return out;
    }
    for (;;) {
      this.peek();
      const start = this.at;
      out.push(this.value(depth + 1));
      onElement?.(start, this.at);
      if (this.peek() !== ",") break;
      this.at++;
    }
    this.take("]");
    return out;
  }

  object(depth: number, onMember?: (key: string) => Json): JsonObject {
    const out: Record<string, Json> = {};
    this.take("{");
    if (this.peek() === "}") {
      this.at++;
      return out;
    }
    for (;;) {
      if (this.peek() !== '"') refuse("expected a key", this.at);
      const key = this.string();
      if (Object.hasOwn(out, key)) ambiguous(`the key ${JSON.stringify(key)} stands twice`);
      if (key === "__proto__") ambiguous("the key __proto__ means different things to different readers");
      this.take(":");
      this.peek();
      out[key] = onMember ? onMember(key) : this.value(depth + 1);
      if (this.peek() !== ",") break;
      this.at++;
    }
    this.take("}");
    return out;
  }

  end(): void {
    if (this.peek() !== "") refuse("trailing data", this.at);
  }
}

/**
 * Reads JSON text that has exactly one reading (the I-JSON subset, RFC 7493, with depth at most 64).
 *
 * @throws REQUEST_MALFORMED for anything that is not JSON; REQUEST_NOT_CANONICAL for duplicate keys, `__proto__`, lone
 * surrogates, integers past 2^53 and numbers out of range.
 */
export function parseJson(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

function decode(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new CountersignError("REQUEST_MALFORMED", { message: "The body is not valid UTF-8.", cause });
  }
}

/** `parseJson` over UTF-8 bytes. */
export function parseJsonBytes(bytes: Uint8Array): Json {
  return parseJson(decode(bytes));
}

/**
 * Reads a JSON object and where its members stand in the bytes, so that user data is committed as the bytes received
 * and never as somebody's re-encoding of them.
 */
export function parseObjectWithSlices(bytes: Uint8Array): { readonly value: JsonObject; readonly slices: Slices } {
  const text = decode(bytes);
  // Places come in rising order, so each is counted from the one before it.
  let unit = 0;
  let byte = 0;
  const byteAt = (at: number): number => {
    if (text.length === bytes.length) return at;
    for (; unit < at; unit++) {
      const c = text.charCodeAt(unit);
      // A surrogate is half of four bytes.
      byte += c < 0x80 ? 1 : c < 0x800 || (c >= 0xd800 && c < 0xe000) ? 2 : 3;
    }
    return byte;
  };
  const reader = new Reader(text);
  const members = new Map<string, readonly [number, number]>();
  const elements = new Map<string, (readonly [number, number])[]>();
  if (reader.peek() !== "{") refuse("the body is not an object", reader.at);
  const value = reader.object(0, (key) => {
    const start = byteAt(reader.at);
    let member: Json;
    if (reader.peek() === "[") {
      const list: (readonly [number, number])[] = [];
      member = reader.array(1, (from, to) => list.push([byteAt(from), byteAt(to)]));
      elements.set(key, list);
    } else member = reader.value(1);
    members.set(key, [start, byteAt(reader.at)]);
    return member;
  });
  reader.end();
  return { value, slices: { members, elements } };
}
