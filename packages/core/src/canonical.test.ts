import fc from "fast-check";
import { expect, test } from "vitest";
import {
  CountersignError,
  canonicalBytes,
  fromUtf8,
  parseCanonical,
  parseJson,
  parseJsonBytes,
  parseObjectWithSlices,
  utf8,
} from "./index.ts";

const key = fc.stringMatching(/^[A-Za-z0-9_.:/-]{1,12}$/);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((n) => (Object.is(n, -0) ? 0 : n)),
    fc.string({ unit: "binary" }).filter((s) => s.isWellFormed()),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));
const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return CountersignError.is(error) ? error.code : "not ours";
  }
  return "no error";
};

test("decoding what was encoded gives the value back, and one value has one encoding", () => {
  fc.assert(
    fc.property(value, (v) => {
      const bytes = canonicalBytes(v);
      const back = parseCanonical(bytes);
      expect(back).toEqual(v);
      expect(canonicalBytes(back)).toEqual(bytes);
    }),
  );
});

test("keys are sorted by bytes", () => {
  expect(fromUtf8(canonicalBytes({ b: 1, a: 2, B: 3, "10": 4, "9": 5 }))).toBe('{"10":4,"9":5,"B":3,"a":2,"b":1}');
});

test.each([
  1.5,
  Number.NaN,
  Infinity,
  -0,
  2 ** 53,
  "\ud800",
  undefined,
  { é: 1 },
  Object.fromEntries([["__proto__", 1]]),
  1n,
  () => 0,
])("%s has no canonical form", (bad) => {
  expect(() => canonicalBytes({ a: bad })).toThrow(RangeError);
});

test.each([
  '{"a":1,"a":1}',
  '{"b":1,"a":1}',
  '{"a": 1}',
  '{"a":1.0}',
  '{"a":-0}',
  '{"a":1e2}',
  '{"a":9007199254740993}',
  '"\\u0041"',
  "1 ",
  "",
  '{"a":"\\ud800"}',
  '{"__proto__":1}',
])("%s is refused as canonical bytes", (text) => {
  expect(codeOf(() => parseCanonical(utf8(text)))).toBe("STATEMENT_MALFORMED");
});

test("the strict reader agrees with JSON.parse wherever it accepts", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (text) => {
      const read = (() => {
        try {
          return { value: parseJson(text) };
        } catch {
          return undefined;
        }
      })();
      if (read) expect(read.value).toEqual(JSON.parse(text));
    }),
  );
});

test("the strict reader accepts nothing that JSON.parse refuses", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:\\0123456789.eE+-truefalsn \n\tau/') }), (text) => {
      const ours = codeOf(() => parseJson(text)) === "no error";
      if (ours) expect(() => JSON.parse(text)).not.toThrow();
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ['{"a":1,"a":2}', "REQUEST_NOT_CANONICAL"],
  ['{"a":9007199254740993}', "REQUEST_NOT_CANONICAL"],
  ['{"a":1e999}', "REQUEST_NOT_CANONICAL"],
  ['{"a":"\\ud800"}', "REQUEST_NOT_CANONICAL"],
  ['{"__proto__":{}}', "REQUEST_NOT_CANONICAL"],
  ['{"a":1} x', "REQUEST_MALFORMED"],
  ['{"a":01}', "REQUEST_MALFORMED"],
  ['{"a":"\n"}', "REQUEST_MALFORMED"],
  ['{"a":"\\x"}', "REQUEST_MALFORMED"],
  ["[".repeat(70) + "]".repeat(70), "REQUEST_MALFORMED"],
  ["", "REQUEST_MALFORMED"],
])("%s is refused with %s", (text, code) => {
  expect(codeOf(() => parseJson(text))).toBe(code);
});

test("bytes that are not UTF-8 are refused", () => {
  expect(codeOf(() => parseJsonBytes(Uint8Array.of(0x22, 0xff, 0x22)))).toBe("REQUEST_MALFORMED");
});

test("slices are the bytes received, also behind text of several bytes", () => {
  const body = utf8('{ "é😀": "ü" , "messages" : [ {"role": "user"} ,  "☃" ] }');
  const { slices } = parseObjectWithSlices(body);
  const texts = (slices.elements.get("messages") ?? []).map(([from, to]) => fromUtf8(body.subarray(from, to)));
  expect(texts).toEqual(['{"role": "user"}', '"☃"']);
});

test("the fast way of reading canonical bytes accepts exactly what encodes back to itself", () => {
  const spellings = fc.oneof(
    value.map((v) => fromUtf8(canonicalBytes(v))),
    fc.json(),
    fc.constantFrom(
      '{"a":1,"a":1}',
      '{"b":1,"a":2}',
      '{"9":1,"10":2}',
      '{"10":1,"9":2}',
      '{"__proto__":1}',
      '{"a":{"__proto__":{}}}',
      "[1.0]",
      "[1e3]",
      "[-0]",
      "[9007199254740993]",
      '["\\u0041"]',
      '["\\ud800"]',
      '["\\/"]',
      " 1",
      "null",
      `${"[".repeat(64)}${"]".repeat(64)}`,
      `${"[".repeat(65)}${"]".repeat(65)}`,
      `${"[".repeat(66)}${"]".repeat(66)}`,
    ),
  );
  fc.assert(
    fc.property(spellings, (text) => {
      // The strict reader and the writer say what is canonical; `parseCanonical` must never say otherwise.
      let own: string | undefined;
      try {
        own = fromUtf8(canonicalBytes(parseJson(text)));
      } catch {
        own = undefined;
      }
      const code = codeOf(() => parseCanonical(utf8(text)));
      expect(code).toBe(own === text ? "no error" : "STATEMENT_MALFORMED");
      if (own === text) expect(parseCanonical(utf8(text))).toEqual(parseJson(text));
    }),
    { numRuns: 2000 },
  );
});
