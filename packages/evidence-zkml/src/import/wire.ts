import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { CountersignError } from "@countersign/core";
import { malformed, tooLarge } from "./fault.ts";
import { limits } from "./limits.ts";

/** How a field is read: `packed…` also stand packed, `skip` is known and without meaning here, `refuse` has one that we lack. */
export type FieldKind = "int" | "text" | "bytes" | "float" | "ints" | "floats" | "doubles" | "skip" | "refuse";

/** One message type: field number to name, kind and whether it may stand several times. */
export type MessageTable = Readonly<
  Record<number, { readonly name: string; readonly kind: FieldKind; readonly many?: true }>
>;

/** The fields of one message by name. */
export type Message = {
  readonly has: (name: string) => boolean;
  readonly int: (name: string) => number | undefined;
  readonly float: (name: string) => number | undefined;
  readonly text: (name: string) => string | undefined;
  readonly bytes: (name: string) => Uint8Array | undefined;
  readonly all: <T extends Uint8Array | string>(name: string) => readonly T[];
  /** A repeated number, packed or not. */
  readonly numbers: (name: string) => readonly number[] | Float32Array | Float64Array;
};

const strict = new TextDecoder("utf-8", { fatal: true });
type Value = number | string | Uint8Array | readonly number[] | Float32Array | Float64Array;

function readText(reader: BinaryReader): string {
  const bytes = reader.bytes();
  if (bytes.length > limits.nameBytes) return tooLarge(`A name is longer than ${limits.nameBytes} bytes.`);
  return strict.decode(bytes);
}

/** int64 as a number; a value past 2^53 has no use here but to deceive. */
function readInt(reader: BinaryReader): number {
  const n = Number(reader.int64());
  return Number.isSafeInteger(n) ? n : malformed("An integer is larger than 2^53.");
}

function readPackedInts(bytes: Uint8Array): readonly number[] {
  const reader = new BinaryReader(bytes);
  const out: number[] = [];
  while (reader.pos < reader.len) {
    if (out.length >= limits.elements) return tooLarge("A list of integers is too long.");
    out.push(readInt(reader));
  }
  return out;
}

function readPackedReals(bytes: Uint8Array, size: 4 | 8): Float32Array | Float64Array {
  if (bytes.length % size !== 0) malformed("A packed list of numbers is cut inside a number.");
  const copy = bytes.slice().buffer;
  return size === 4 ? new Float32Array(copy) : new Float64Array(copy);
}

const wires: Readonly<Record<Exclude<FieldKind, "skip" | "refuse">, readonly WireType[]>> = {
  int: [WireType.Varint],
  text: [WireType.LengthDelimited],
  bytes: [WireType.LengthDelimited],
  float: [WireType.Bit32],
  ints: [WireType.LengthDelimited, WireType.Varint],
  floats: [WireType.LengthDelimited, WireType.Bit32],
  doubles: [WireType.LengthDelimited, WireType.Bit64],
};

function readValue(reader: BinaryReader, kind: keyof typeof wires, wire: WireType): Value {
  if (!wires[kind].includes(wire)) return malformed(`A field has wire type ${wire}, where ${kind} stands otherwise.`);
  const packed = wire === WireType.LengthDelimited;
  if (kind === "int") return readInt(reader);
  if (kind === "text") return readText(reader);
  if (kind === "bytes") return reader.bytes();
  if (kind === "ints") return packed ? readPackedInts(reader.bytes()) : [readInt(reader)];
  if (kind === "floats" || kind === "float") return packed ? readPackedReals(reader.bytes(), 4) : reader.float();
  return packed ? readPackedReals(reader.bytes(), 8) : reader.double();
}

/**
 * Reads one protobuf message strictly: unknown fields, wrong wire types, a single field that stands twice and bytes
 * behind the end are refused, since two readers could otherwise see two models in one file.
 *
 * @throws ZK_IMPORT_MALFORMED, ZK_IMPORT_TOO_LARGE
 */
export function readMessage(bytes: Uint8Array, what: string, table: MessageTable): Message {
  const found = new Map<string, Value[]>();
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [number, wire] = reader.tag();
      const field = table[number];
      if (field === undefined) return malformed(`A ${what} has the unknown field ${number}.`);
      if (field.kind === "refuse") return malformed(`A ${what} has ${field.name}, which no import reads.`);
      if (wire === WireType.StartGroup || wire === WireType.EndGroup) return malformed(`A ${what} has a group.`);
      if (field.kind === "skip") {
        reader.skip(wire, number);
        continue;
      }
      const value = readValue(reader, field.kind, wire);
      const list = found.get(field.name);
      if (list === undefined) found.set(field.name, [value]);
      else if (!field.many) return malformed(`A ${what} has two fields ${field.name}.`);
      else if (list.push(value) > limits.unpacked) return tooLarge(`A ${what} has too many fields ${field.name}.`);
    }
  } catch (cause) {
    if (CountersignError.is(cause)) throw cause;
    throw new CountersignError("ZK_IMPORT_MALFORMED", { message: `A ${what} cannot be read as protobuf.`, cause });
  }
  const one = <T>(name: string) => found.get(name)?.[0] as T | undefined;
  return {
    has: (name) => found.has(name),
    int: one<number>,
    float: one<number>,
    text: one<string>,
    bytes: one<Uint8Array>,
    all: <T>(name: string) => (found.get(name) ?? []) as unknown as readonly T[],
    numbers: (name) => join(found.get(name) ?? []),
  };
}

function join(parts: readonly Value[]): readonly number[] | Float32Array | Float64Array {
  const [first] = parts;
  if (parts.length === 1 && typeof first === "object" && !(first instanceof Uint8Array)) return first;
  const out: number[] = [];
  for (const part of parts) {
    if (typeof part === "number") out.push(part);
    else for (const n of part as ArrayLike<number> as readonly number[]) out.push(n);
    if (out.length > limits.elements) return tooLarge("A list of numbers is too long.");
  }
  return out;
}
