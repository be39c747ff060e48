import { CountersignError, type Field, type Opened, openedBytes, type Param, parseCanonical } from "@countersign/core";
import * as z from "zod";

/** A leaf's content in its shape, or undefined when it is closed or cannot be read: what cannot be read proves nothing. */
export function readLeaf<T>(shape: z.ZodType<T>, opened: Opened, field: Field): T | undefined {
  const bytes = openedBytes(opened, field);
  if (!bytes) return undefined;
  try {
    return shape.safeParse(parseCanonical(bytes)).data;
  } catch (error) {
    if (CountersignError.is(error)) return undefined;
    throw error;
  }
}

const paramShape = z.record(
  z.string(),
  z.union([z.null(), z.boolean(), z.number(), z.string(), z.array(z.string()), z.strictObject({ sha256: z.string() })]),
);

/** The parameters in effect, or undefined when they are closed or unreadable. */
export const readParams = (opened: Opened): Readonly<Record<string, Param>> | undefined =>
  readLeaf(paramShape, opened, "params");
