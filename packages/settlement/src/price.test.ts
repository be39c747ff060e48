import { CountersignError } from "@countersign/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { quote, recomputeQuote } from "./price.ts";

const table = { base: "100", perInputKiB: "7", perOutputToken: "2" };

test("a quote is base, begun KiB and tokens", () => {
  expect(quote(table, { inputBytes: 0, maxTokens: 0 })).toBe("100");
  expect(quote(table, { inputBytes: 1, maxTokens: 0 })).toBe("107");
  expect(quote(table, { inputBytes: 1024, maxTokens: 10 })).toBe("127");
  expect(quote(table, { inputBytes: 1025, maxTokens: 10 })).toBe("134");
  for (const bad of [-1, 1.5, Number.NaN, 2 ** 53]) {
    expect(() => quote(table, { inputBytes: bad, maxTokens: 0 })).toThrow(RangeError);
    expect(() => quote(table, { inputBytes: 0, maxTokens: bad })).toThrow(RangeError);
  }
});

test("one unit above the quote is an overcharge (P11)", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.bigInt({ min: 1n, max: 10n ** 30n }), (inputBytes, maxTokens, more) => {
      const bound = { inputBytes, maxTokens };
      const price = quote(table, bound);
      recomputeQuote(price, table, bound);
      try {
        recomputeQuote((BigInt(price) + more).toString(), table, bound);
        expect.unreachable();
      } catch (error) {
        expect(CountersignError.is(error, "OVERCHARGED")).toBe(true);
      }
    }),
  );
});
