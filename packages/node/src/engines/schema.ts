import { CountersignError, type Json, type JsonObject } from "@countersign/core";

const annotations = new Set(["title", "description", "default", "examples", "$schema", "$id", "$comment", "strict"]);
const keywords = new Set([
  "type",
  "properties",
  "required",
  "additionalProperties",
  "items",
  "prefixItems",
  "minItems",
  "maxItems",
  "minLength",
  "maxLength",
  "enum",
  "const",
  "oneOf",
  "anyOf",
  "$ref",
  "$defs",
]);
const types = new Set(["object", "array", "string", "number", "integer", "boolean", "null"]);

/**
 * A JSON Schema in the words that the engine's grammar knows, so that every text the grammar lets through fits the
 * schema. What the grammar can't hold to is refused: a constraint that is silently dropped is worse than none.
 *
 * Objects come with all their properties in the order of the schema, and no others.
 *
 * @throws PARAMETER_NOT_SUPPORTED with the keyword and where it stands
 */
export function grammarSchema(schema: Json, param: string): JsonObject {
  return convert(schema, param, 0);
}

const refuse = (message: string, param: string): never => {
  throw new CountersignError("PARAMETER_NOT_SUPPORTED", {
    message: `The schema's ${message}.`,
    why: "Answers are held to a schema by a grammar, and the grammar has no word for this.",
    remedy: `Supported are ${[...keywords].join(", ")}.`,
    param,
  });
};

function convert(schema: Json, param: string, depth: number): JsonObject {
  if (depth > 32) return refuse("nesting is deeper than 32", param);
  if (typeof schema !== "object" || schema === null || Array.isArray(schema))
    return refuse("members must be objects", param);
  const from = schema as JsonObject;
  for (const key of Object.keys(from)) {
    if (!keywords.has(key) && !annotations.has(key)) refuse(`keyword "${key}" cannot be honoured`, `${param}.${key}`);
  }
  const defs = from.$defs === undefined ? {} : { $defs: convertEach(from.$defs, `${param}.$defs`, depth) };
  const into = (body: Record<string, Json>): JsonObject => ({ ...body, ...defs }) as JsonObject;
  if (typeof from.$ref === "string") {
    if (!/^#\/\$defs\/[^/]+$/.test(from.$ref)) refuse("references must be #/$defs/NAME", `${param}.$ref`);
    return into({ $ref: from.$ref });
  }
  const choice = from.oneOf ?? from.anyOf;
  if (choice !== undefined) {
    if (!Array.isArray(choice) || choice.length === 0 || from.type !== undefined)
      return refuse("oneOf or anyOf must stand alone and hold a choice", param);
    return into({ oneOf: choice.map((c, i) => convert(c as Json, `${param}[${i}]`, depth + 1)) });
  }
  if (from.const !== undefined) return into({ const: from.const });
  if (Array.isArray(from.enum)) return into({ enum: from.enum });
  const { type } = from;
  const names = Array.isArray(type) ? type : [type];
  if (names.length === 0 || !names.every((t) => typeof t === "string" && types.has(t)))
    return refuse("type is missing or unknown", `${param}.type`);
  if (names.length > 1) {
    if (names.some((t) => t === "object" || t === "array")) {
      const alone = names.map((t) => convert({ ...from, type: t as string }, param, depth + 1));
      return into({ oneOf: alone });
    }
    return into({ type: names as Json });
  }
  const pick = (...keys: string[]) =>
    Object.fromEntries(keys.flatMap((k) => (from[k] === undefined ? [] : [[k, from[k] as Json]])));
  if (type === "object") {
    const properties = convertEach(from.properties ?? {}, `${param}.properties`, depth);
    const missing = (Array.isArray(from.required) ? from.required : []).find(
      (r) => !Object.hasOwn(properties, String(r)),
    );
    if (missing !== undefined) refuse(`required property "${String(missing)}" is not described`, `${param}.required`);
    const free = Object.keys(properties).length === 0 && from.additionalProperties !== false;
    return into({ type: "object", properties, ...(free && { additionalProperties: true }) } as Record<string, Json>);
  }
  if (type === "array") {
    const items = from.items === undefined ? {} : { items: convert(from.items, `${param}.items`, depth + 1) };
    const prefix = Array.isArray(from.prefixItems)
      ? { prefixItems: from.prefixItems.map((p, i) => convert(p as Json, `${param}.prefixItems[${i}]`, depth + 1)) }
      : {};
    return into({ type: "array", ...items, ...prefix, ...pick("minItems", "maxItems") });
  }
  return into({ type: type as Json, ...(type === "string" && pick("minLength", "maxLength")) });
}

function convertEach(value: Json, param: string, depth: number): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse("properties must be an object", param);
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([k, v]) => [k, convert(v, `${param}.${k}`, depth + 1)]),
  );
}
