import { concat, utf8 } from "@countersign/core";

// The wire format of Protocol Buffers, as much of it as ONNX files need (protobuf.dev, "Encoding").

/** One field of a message: number, and its value by wire type (bytes for length-delimited ones). */
export type Field = { readonly number: number; readonly value: bigint | Uint8Array; readonly raw: Uint8Array };

function varint(value: bigint): Uint8Array {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    out.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Uint8Array.from(out);
}

/** A varint field. */
export const int = (number: number, value: number | bigint): Uint8Array =>
  concat(varint(BigInt(number) << 3n), varint(BigInt(value)));

/** A length-delimited field: bytes, text, or the fields of a nested message. */
export function bytes(number: number, ...value: readonly (Uint8Array | string)[]): Uint8Array {
  const body = concat(...value.map((part) => (typeof part === "string" ? utf8(part) : part)));
  return concat(varint((BigInt(number) << 3n) | 2n), varint(BigInt(body.length)), body);
}

/** A 32-bit float field. */
export function float(number: number, value: number): Uint8Array {
  const body = new Uint8Array(4);
  new DataView(body.buffer).setFloat32(0, value, true);
  return concat(varint((BigInt(number) << 3n) | 5n), body);
}

/** The fields of a message in file order. @throws RangeError when the bytes are not a message. */
export function readFields(message: Uint8Array): readonly Field[] {
  const out: Field[] = [];
  let at = 0;
  const next = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError("A protobuf message ends inside a number.");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError("A protobuf number is longer than ten bytes.");
  };
  const take = (n: number): Uint8Array => {
    if (at + n > message.length) throw new RangeError("A protobuf message ends inside a field.");
    at += n;
    return message.subarray(at - n, at);
  };
  while (at < message.length) {
    const start = at;
    const key = next();
    const wire = Number(key & 7n);
    const value =
      wire === 0 ? next() : wire === 2 ? take(Number(next())) : wire === 5 ? take(4) : wire === 1 ? take(8) : undefined;
    if (value === undefined) throw new RangeError(`Protobuf wire type ${wire} is not in use.`);
    out.push({ number: Number(key >> 3n), value, raw: message.subarray(start, at) });
  }
  return out;
}

/** The last length-delimited field of that number. @throws RangeError when there is none. */
export function pickField(fields: readonly Field[], number: number): Uint8Array {
  const found = fields.findLast((f) => f.number === number)?.value;
  if (found instanceof Uint8Array) return found;
  throw new RangeError(`The protobuf message has no field ${number}.`);
}
