import type { Json } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { grammarSchema } from "./schema.ts";

const convert = (schema: Json) => grammarSchema(schema, "schema");

describe("a schema as a grammar", () => {
  it("keeps what the grammar can hold to", () => {
    const schema = {
      type: "object",
      title: "A place",
      properties: {
        name: { type: "string", maxLength: 8 },
        kind: { enum: ["city", "river"] },
        size: { anyOf: [{ type: "integer" }, { type: "null" }] },
        tags: { type: "array", items: { type: "string" }, maxItems: 2 },
      },
      required: ["name"],
      additionalProperties: false,
    };
    expect(convert(schema)).toEqual({
      type: "object",
      properties: {
        name: { type: "string", maxLength: 8 },
        kind: { enum: ["city", "river"] },
        size: { oneOf: [{ type: "integer" }, { type: "null" }] },
        tags: { type: "array", items: { type: "string" }, maxItems: 2 },
      },
    });
  });

  it.each([
    ["pattern", { type: "string", pattern: "^a" }],
    ["minimum", { type: "integer", minimum: 1 }],
    ["not", { type: "string", not: { const: "a" } }],
    ["allOf", { allOf: [{ type: "string" }] }],
    ["format", { type: "string", format: "email" }],
    ["patternProperties", { type: "object", patternProperties: {} }],
    ["no type", {}],
    ["true", true],
    ["a foreign reference", { $ref: "https://example.invalid/schema" }],
    ["a required property that is not described", { type: "object", properties: {}, required: ["a"] }],
    ["oneOf beside a type", { type: "object", oneOf: [{ type: "object" }] }],
  ])("refuses %s, by name, rather than dropping it", (_, schema) => {
    expect(() => convert({ type: "object", properties: { a: schema as Json } })).toThrowError(
      expect.objectContaining({ code: "PARAMETER_NOT_SUPPORTED" }),
    );
  });

  const nested = (levels: number, around: (inner: Json) => Json): Json =>
    Array.from({ length: levels }).reduce<Json>((inner) => around(inner), { type: "null" });

  it.each<[string, Json]>([
    ["a type named twice, which doubles at each level", nested(30, (a) => ({ type: ["object", "object"], items: a }))],
    ["an enum of 100,000 choices", { enum: Array.from({ length: 100_000 }, (_, i) => `v${i}`) }],
    ["many small parts", { oneOf: Array.from({ length: 10_000 }, () => ({ type: "null" })) }],
    ["a length past what a grammar repeats", { type: "string", maxLength: 1e9 }],
    ["a negative length", { type: "string", minLength: -1 }],
    ["a length that is no number", { type: "string", minLength: "x" }],
    ["a fraction of an item", { type: "array", items: { type: "null" }, minItems: 1.5 }],
    ["a range upside down", { type: "string", minLength: 5, maxLength: 1 }],
    ["a reference that leads nowhere", { $ref: "#/$defs/nothing" }],
    ["a reference to a definition elsewhere", { type: "object", $defs: {}, properties: { a: { $ref: "#/$defs/a" } } }],
  ])("refuses %s, at once: one request must not hold up the node", (_, schema) => {
    const began = performance.now();
    expect(() => convert(schema)).toThrowError(expect.objectContaining({ code: "PARAMETER_NOT_SUPPORTED" }));
    expect(performance.now() - began).toBeLessThan(1000);
  });

  it("converts definitions once, under however many types they stand", () => {
    const began = performance.now();
    convert(nested(30, (a) => ({ type: ["object", "array", "string"], $defs: { a } })));
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
