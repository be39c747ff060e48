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
  const budget: Budget = { parts: mostParts, refs: [] };
  const converted = convert(schema, param, 0, budget);
  const { $defs } = converted as { readonly $defs?: JsonObject };
  const lost = budget.refs.find((name) => $defs === undefined || !Object.hasOwn($defs, name));
  if (lost !== undefined) refuse(`reference to "${lost}" leads nowhere`, param);
  return converted;
}

/** Parts of a schema, choices of an enum included: the engine makes rules of each, and a run waits for them. */
const mostParts = 4096;
/** The most of a length or a count: the engine's grammar repeats a rule that often. */
const mostRepeats = 4096;

/** What is left to convert, and the references to definitions that were seen. */
type Budget = { parts: number; readonly refs: string[] };

const refuse = (message: string, param: string): never => {
  throw new CountersignError("PARAMETER_NOT_SUPPORTED", {
    message: `The schema's ${message}.`,
    why: "Answers are held to a schema by a grammar, and the grammar has no word for this.",
    remedy: `Supported are ${[...keywords].join(", ")}.`,
    param,
  });
};

function convert(schema: Json, param: string, depth: number, budget: Budget): JsonObject {
  if (--budget.parts < 0) return refuse(`parts are more than ${mostParts}`, param);
  if (depth > 32) return refuse("nesting is deeper than 32", param);
  if (typeof schema !== "object" || schema === null || Array.isArray(schema))
    return refuse("members must be objects", param);
  const from = schema as JsonObject;
  for (const key of Object.keys(from)) {
    if (!keywords.has(key) && !annotations.has(key)) refuse(`keyword "${key}" cannot be honoured`, `${param}.${key}`);
  }
  const defs = from.$defs === undefined ? {} : { $defs: convertEach(from.$defs, `${param}.$defs`, depth, budget) };
  const into = (body: Record<string, Json>): JsonObject => ({ ...body, ...defs }) as JsonObject;
  if (typeof from.$ref === "string") {
    if (!/^#\/\$defs\/[^/]+$/.test(from.$ref)) refuse("references must be #/$defs/NAME", `${param}.$ref`);
    budget.refs.push(from.$ref.slice("#/$defs/".length));
    return into({ $ref: from.$ref });
  }
  const choice = from.oneOf ?? from.anyOf;
  if (choice !== undefined) {
    if (!Array.isArray(choice) || choice.length === 0 || from.type !== undefined)
      return refuse("oneOf or anyOf must stand alone and hold a choice", param);
    return into({ oneOf: choice.map((c, i) => convert(c as Json, `${param}[${i}]`, depth + 1, budget)) });
  }
  if (from.const !== undefined) return into({ const: from.const });
  if (Array.isArray(from.enum)) {
    budget.parts -= from.enum.length;
    if (budget.parts < 0) return refuse(`parts are more than ${mostParts}`, `${param}.enum`);
    return into({ enum: from.enum });
  }
  const { type } = from;
  const names = Array.isArray(type) ? type : [type];
  if (names.length === 0 || !names.every((t) => typeof t === "string" && types.has(t)))
    return refuse("type is missing or unknown", `${param}.type`);
  // Each name is converted by itself: a name given twice, level under level, would double the work each time.
  if (new Set(names).size !== names.length) return refuse("type names one type twice", `${param}.type`);
  if (names.length > 1) {
    if (names.some((t) => t === "object" || t === "array")) {
      const { $defs: _, ...rest } = from;
      const alone = names.map((t) => convert({ ...rest, type: t as string }, param, depth + 1, budget));
      return into({ oneOf: alone });
    }
    return into({ type: names as Json });
  }
  const range = (low: string, high: string) => {
    const given = [low, high].flatMap((k) => (from[k] === undefined ? [] : [[k, from[k] as Json] as const]));
    for (const [k, n] of given)
      if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 0 || n > mostRepeats)
        refuse(`${k} is not a whole number up to ${mostRepeats}`, `${param}.${k}`);
    if (given.length === 2 && Number(from[low]) > Number(from[high]))
      refuse(`${low} is above ${high}`, `${param}.${low}`);
    return Object.fromEntries(given);
  };
  if (type === "object") {
    const properties = convertEach(from.properties ?? {}, `${param}.properties`, depth, budget);
    const missing = (Array.isArray(from.required) ? from.required : []).find(
      (r) => !Object.hasOwn(properties, String(r)),
    );
    if (missing !== undefined) refuse(`required property "${String(missing)}" is not described`, `${param}.required`);
    const free = Object.keys(properties).length === 0 && from.additionalProperties !== false;
    return into({ type: "object", properties, ...(free && { additionalProperties: true }) } as Record<string, Json>);
  }
  if (type === "array") {
    const items = from.items === undefined ? {} : { items: convert(from.items, `${param}.items`, depth + 1, budget) };
    const prefix = Array.isArray(from.prefixItems)
      ? {
          prefixItems: from.prefixItems.map((p, i) =>
            convert(p as Json, `${param}.prefixItems[${i}]`, depth + 1, budget),
          ),
        }
      : {};
    return into({ type: "array", ...items, ...prefix, ...range("minItems", "maxItems") });
  }
  return into({ type: type as Json, ...(type === "string" && range("minLength", "maxLength")) });
}

function convertEach(value: Json, param: string, depth: number, budget: Budget): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse("properties must be an object", param);
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([k, v]) => [k, convert(v, `${param}.${k}`, depth + 1, budget)]),
  );
}
