import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBase64, toBase64, toHex } from "./index.ts";
import { decodeStrictly, encodeNatively, type NativeBase64, nativeFrom } from "./native-base64.ts";
import "./node.ts";

/** Text long enough for the platform's own code, with these bytes at its end. */
const lead = new Uint8Array(nativeFrom - (nativeFrom % 3)).map((_, i) => (i * 7919) & 255);
const long = (end: Uint8Array) => {
  const out = new Uint8Array(lead.length + end.length);
  out.set(lead);
  out.set(end, lead.length);
  return out;
};
const portable = (bytes: Uint8Array) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3000) text += toBase64(bytes.subarray(i, i + 3000));
  return text;
};
const platforms: [string, NativeBase64 | undefined][] = [
  ["node.ts", undefined],
  [
    "a lenient platform",
    { encode: portable, decode: (text) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "base64url")) },
  ],
];

test.each(platforms)("long texts are written and read as short ones are: %s", (_, native) => {
  if (native) encodeNatively(native);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 8 }), (end) => {
      const bytes = long(end);
      const text = toBase64(bytes);
      expect(text).toBe(portable(bytes));
      expect(toHex(fromBase64(text))).toBe(toHex(bytes));
    }),
  );
});

test.each(platforms)("a second spelling is refused in long texts too: %s", (_, native) => {
  if (native) encodeNatively(native);
  const text = toBase64(long(Uint8Array.of(1)));
  expect(text.endsWith("AQ==")).toBe(true);
  const head = text.slice(0, -4);
  for (const end of [
    "AR==",
    "AQ=",
    "AQ",
    "AQ===",
    "AQ==\n",
    "A Q==",
    "AQ==AQ==",
    "-Q==",
    "_Q==",
    "é===",
    "AQ\0=",
    "====",
  ])
    expect(() => fromBase64(head + end), JSON.stringify(end)).toThrow(RangeError);
  expect(() => fromBase64(`${text.slice(0, 100)} ${text.slice(101)}`)).toThrow(RangeError);
  expect(() => fromBase64(`\ufeff${text.slice(1)}`)).toThrow(RangeError);
});

test("what the platform cannot read is refused", () => {
  const broken: NativeBase64 = {
    encode: () => "",
    decode: () => {
      throw new SyntaxError("no");
    },
  };
  expect(decodeStrictly(broken, "AQ==")).toBeUndefined();
});
