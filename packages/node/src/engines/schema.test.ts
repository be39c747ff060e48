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
});
