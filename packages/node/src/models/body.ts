import { CountersignError } from "@countersign/core";
import type { z } from "zod";

/** Reads a request body by its shape. @throws REQUEST_FIELD_INVALID with the path of the first fault. */
export function readBody<T>(shape: z.ZodType<T>, body: unknown): T {
  const read = shape.safeParse(body);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  const param = issue?.path.join(".") ?? "";
  throw new CountersignError("REQUEST_FIELD_INVALID", {
    message: `The body does not fit the endpoint: ${param ? `${param}: ` : ""}${issue?.message ?? "unreadable"}.`,
    ...(param && { param }),
  });
}

/** A probability or score with six decimals, as text: answers carry no floats, so that they have one spelling. */
export const decimal = (value: number): string => value.toFixed(6);

/** Refuses text past a size. @throws INPUT_TOO_LARGE; REQUEST_FIELD_INVALID on a lone surrogate. */
export function checkText(text: string, maxCharacters: number, param: string): void {
  if (text.length > maxCharacters) {
    throw new CountersignError("INPUT_TOO_LARGE", {
      message: `${param} has ${text.length} characters; the model takes up to ${maxCharacters}.`,
      param,
    });
  }
  if (!text.isWellFormed()) {
    throw new CountersignError("REQUEST_FIELD_INVALID", { message: `${param} holds a lone surrogate.`, param });
  }
}
