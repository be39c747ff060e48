import { concat, toHex } from "@countersign/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Fault } from "./attestation.ts";
import {
  derChildren,
  derFields,
  oid,
  oidOf,
  readBitString,
  readDer,
  readInteger,
  readNumber,
  readTime,
} from "./der.ts";
import { der } from "./make/der.ts";

const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error instanceof Fault ? error.code : error;
  }
  return "nothing was thrown";
};

test("a value of any length reads back, whole", () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65535, 65536]) {
    const body = new Uint8Array(length).fill(7);
    const node = readDer(der.octetString(body));
    expect(node.tag).toBe(4);
    expect(toHex(node.body)).toBe(toHex(body));
    expect(node.raw.length).toBe(der.octetString(body).length);
  }
});

test.each([
  ["a long form below 128", "048105"],
  ["a leading zero in a length", "04820080"],
  ["an indefinite length", "30800000"],
  ["a length of four bytes", "048400000001aa"],
  ["a tag of several bytes", "1f0100"],
  ["a body that is cut off", "0403aabb"],
  ["a length that is cut off", "0482"],
  ["one byte", "04"],
  ["nothing", ""],
])("%s is refused", (_, text) => {
  const bytes = concat(hex(text), new Uint8Array(text === "048105" ? 5 : text === "04820080" ? 128 : 0));
  expect(codeOf(() => readDer(bytes))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("a length of 16 MiB is refused: no evidence is so long", () => {
  const bytes = new Uint8Array(6 + (1 << 24));
  bytes.set(hex("048401000000"));
  expect(codeOf(() => readDer(bytes))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("a byte behind a value is refused by its own code", () => {
  expect(codeOf(() => readDer(hex("050000")))).toBe("TEE_TRAILING_DATA");
});

test("children are all of the body, and a torn last one is refused", () => {
  expect(derChildren(hex("05000101ff")).map((n) => n.tag)).toEqual([5, 1]);
  expect(codeOf(() => derChildren(hex("05000102ff")))).toBe("TEE_EVIDENCE_MALFORMED");
  expect(codeOf(() => derFields(readDer(hex("3100"))))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("object identifiers are their contents in hex", () => {
  expect(oid("1.2.840.113549.1.1.10")).toBe("2a864886f70d01010a");
  expect(oid("2.5.29.19")).toBe("551d13");
  expect(oidOf(readDer(der.oid("1.3.6.1.4.1.3704.1.3.8")))).toBe(oid("1.3.6.1.4.1.3704.1.3.8"));
  expect(codeOf(() => oidOf(readDer(hex("0600"))))).toBe("TEE_EVIDENCE_MALFORMED");
  expect(() => oid("1.x")).toThrow(RangeError);
});

test("integers come without leading zeros, and a second spelling or a sign is refused", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 1n << 400n }), (n) => {
      const bytes = readInteger(readDer(der.integer(n)));
      expect(BigInt(`0x${toHex(bytes)}`)).toBe(n);
      expect(bytes.length === 1 || bytes[0] !== 0).toBe(true);
      expect(readInteger(readDer(der.integer(concat(new Uint8Array(3), bytes))))).toEqual(bytes);
    }),
  );
  for (const text of ["0200", "020180", "02020001", "0401aa"])
    expect(codeOf(() => readInteger(readDer(hex(text))))).toBe("TEE_EVIDENCE_MALFORMED");
  expect(readNumber(readDer(hex("020400ffffff")))).toBe(0xffffff);
  expect(readNumber(readDer(hex("020500ffffffff")))).toBe(0xffffffff);
  expect(codeOf(() => readNumber(readDer(der.integer(2n ** 40n))))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("times come back in both forms", () => {
  for (const at of [Date.UTC(2026, 1, 28, 23, 59, 59), Date.UTC(2049, 11, 31), Date.UTC(1999, 0, 1)])
    expect(readTime(readDer(der.utcTime(at)))).toBe(at);
  for (const at of [Date.UTC(2026, 1, 28), Date.UTC(9999, 11, 31, 23, 59, 59)])
    expect(readTime(readDer(der.generalizedTime(at)))).toBe(at);
});

test.each([
  "20260230000000Z",
  "20260101000060Z",
  "20260101240000Z",
  "20260101000000",
  "20260101000000+0100",
  "20260101000000.5Z",
])("%s is no time", (text) => {
  expect(codeOf(() => readTime(readDer(der.raw(0x18, new TextEncoder().encode(text)))))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("bit strings are of whole bytes", () => {
  expect(readBitString(readDer(hex("030200aa")))).toEqual(hex("aa"));
  for (const text of ["030201aa", "0300", "0402aabb"])
    expect(codeOf(() => readBitString(readDer(hex(text))))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("no bytes provoke anything but a fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      for (const read of [readDer, derChildren, (b: Uint8Array) => readTime(readDer(b))]) {
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Fault);
        }
      }
    }),
    { numRuns: 500 },
  );
});
