import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBase64, fromBase64Url, fromHex, toBase64, toBase64Url, toHex } from "./index.ts";

const codecs = [
  { name: "hex", encode: toHex, decode: fromHex, node: "hex" },
  { name: "base64", encode: toBase64, decode: fromBase64, node: "base64" },
  { name: "base64url", encode: toBase64Url, decode: fromBase64Url, node: "base64url" },
] as const;

test.each(codecs)("$name: decoding undoes encoding, and Node reads the same", ({ encode, decode, node }) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = encode(bytes);
      expect(text).toBe(Buffer.from(bytes).toString(node));
      expect(decode(text)).toEqual(bytes);
    }),
  );
});

test.each(codecs)("$name: whatever is read is the one spelling of its bytes", ({ encode, decode }) => {
  const alphabet = fc.constantFrom(..."ABab09+/-_=\n é\u{1f600}\u0141".split(""));
  fc.assert(
    fc.property(fc.string({ unit: alphabet, maxLength: 12 }), (text) => {
      let bytes: Uint8Array;
      try {
        bytes = decode(text);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return;
      }
      expect(encode(bytes)).toBe(text);
    }),
    { numRuns: 5000 },
  );
});

test.each(codecs)("$name: one changed character never gives the same bytes", ({ encode, decode }) => {
  const place = fc.nat();
  const other = fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), place, other, (bytes, at, char) => {
      const text = encode(bytes);
      const i = at % text.length;
      fc.pre(text[i] !== char);
      let read: Uint8Array | undefined;
      try {
        read = decode(text.slice(0, i) + char + text.slice(i + 1));
      } catch {
        read = undefined;
      }
      expect(read).not.toEqual(bytes);
    }),
  );
});

test.each([
  "AB==",
  "AAB=",
  "AAAA=",
  "AAA",
  "AA",
  "A===",
  "====",
  "=AAA",
  "AA=A",
  " AAAA",
  "AA\nAA",
  "AA-_",
  "AAA\u0141",
])("base64 refuses %j", (text) => expect(() => fromBase64(text)).toThrow(RangeError));
test.each(["AB", "AAB", "A", "AA==", "AA+/", "AAA\u0141"])("base64url refuses %j", (text) =>
  expect(() => fromBase64Url(text)).toThrow(RangeError),
);
test.each(["a", "0G", "0A", "0\u0130", "0x00"])("hex refuses %j", (text) =>
  expect(() => fromHex(text)).toThrow(RangeError),
);
