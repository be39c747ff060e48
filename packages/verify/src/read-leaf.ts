import { CountersignError, type Field, type Opened, openedBytes, type Param, parseCanonical } from "@countersign/core";
import * as z from "zod";

// Several checks read the same leaf; its bytes were decoded for this verdict alone, so they stand for what they hold.
const read = new WeakMap<Uint8Array, Map<z.ZodType, unknown>>();

/** A leaf's content in its shape, or undefined when it is closed or cannot be read: what cannot be read proves nothing. */
export function readLeaf<T>(shape: z.ZodType<T>, opened: Opened, field: Field): T | undefined {
  const bytes = openedBytes(opened, field);
  if (!bytes) return undefined;
  const known = read.get(bytes) ?? new Map<z.ZodType, unknown>();
  if (!known.has(shape)) known.set(shape, readShape(shape, bytes));
  read.set(bytes, known);
  return known.get(shape) as T | undefined;
}

function readShape<T>(shape: z.ZodType<T>, bytes: Uint8Array): T | undefined {
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
