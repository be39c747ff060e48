import { CountersignError } from "@countersign/core";
import { loadNativeRecover } from "@countersign/settlement";
import { expect, test } from "vitest";

const codeOf = (load: () => unknown): string => {
  try {
    loadNativeRecover(load);
    return "loaded";
  } catch (error) {
    return CountersignError.is(error) ? error.code : "other";
  }
};

test("X7: where the native binding is hidden nothing falls back to slow JavaScript in silence", () => {
  const hidden = () => {
    throw new Error("no native build was found");
  };
  expect(codeOf(hidden)).toBe("NATIVE_MODULE_MISSING");
  expect(() => loadNativeRecover()).not.toThrow();
});
