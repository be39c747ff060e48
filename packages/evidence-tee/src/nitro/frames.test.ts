import { concat, toHex } from "@countersign/core";
import { encode } from "cborg";
import { expect, test } from "vitest";
import { Fault } from "../attestation.ts";
import { unwrapDstack, unwrapNsm } from "./frames.ts";

const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error instanceof Fault ? error.code : error;
  }
  return "passed";
};
const compact = (n: number) =>
  n < 64
    ? Uint8Array.of(n << 2)
    : n < 16_384
      ? Uint8Array.of(((n << 2) | 1) & 255, n >> 6)
      : Uint8Array.of(((n << 2) | 2) & 255, (n >> 6) & 255, (n >> 14) & 255, (n >> 22) & 255);
const scale = (document: Uint8Array, configuration = new Uint8Array(84)) =>
  concat(
    Uint8Array.of(0, 2),
    compact(document.length),
    document,
    new Uint8Array(65),
    compact(configuration.length),
    configuration,
  );

test("dstack's frame gives the document of any length", () => {
  for (const length of [0, 1, 63, 64, 4527, 16_383, 16_384, 20_000]) {
    const document = new Uint8Array(length).fill(3);
    expect(toHex(unwrapDstack(scale(document)))).toBe(toHex(document));
  }
});

const document = new Uint8Array(100).fill(0x84);
test.each([
  ["another version", Uint8Array.of(1, ...scale(document).subarray(1)), "TEE_EVIDENCE_MALFORMED"],
  ["another kind", Uint8Array.of(0, 0, ...scale(document).subarray(2)), "TEE_EVIDENCE_MALFORMED"],
  ["a byte behind it", Uint8Array.of(...scale(document), 0), "TEE_TRAILING_DATA"],
  ["the document alone", document, "TEE_EVIDENCE_MALFORMED"],
  [
    "a length in a longer form",
    Uint8Array.of(0, 2, 1, 0, ...scale(new Uint8Array()).subarray(3)),
    "TEE_EVIDENCE_MALFORMED",
  ],
  ["a length of the great form", Uint8Array.of(0, 2, 3, 1, 0, 0, 0), "TEE_EVIDENCE_MALFORMED"],
  ["events", Uint8Array.of(0, 2, 0, 4, ...new Uint8Array(66)), "TEE_EVIDENCE_MALFORMED"],
  ["nothing", new Uint8Array(), "TEE_EVIDENCE_MALFORMED"],
])("dstack: %s is refused", (_, frame, code) => {
  expect(codeOf(() => unwrapDstack(frame))).toBe(code);
});

test("a frame that is cut off anywhere is refused", () => {
  const frame = scale(document);
  for (let length = 0; length < frame.length; length++)
    expect(
      codeOf(() => unwrapDstack(frame.subarray(0, length))),
      `${length}`,
    ).toBe("TEE_EVIDENCE_MALFORMED");
});

const answer = (value: unknown) => encode(value);
test("the module's answer gives its document", () => {
  expect(unwrapNsm(answer({ Attestation: { document } }))).toEqual(document);
});

test.each([
  ["an error", answer({ Error: "InvalidArgument" })],
  ["another answer", answer({ GetRandom: { random: document } })],
  ["more than a document", answer({ Attestation: { document, more: 1 } })],
  ["two answers", answer({ Attestation: { document }, Error: "x" })],
  ["a document that is text", answer({ Attestation: { document: "x" } })],
  ["a name alone", answer("Attestation")],
  ["a byte behind it", concat(answer({ Attestation: { document } }), new Uint8Array(1))],
  ["the document alone", document],
])("nsm: %s is refused", (_, bytes) => {
  expect(codeOf(() => unwrapNsm(bytes))).toBe("TEE_EVIDENCE_MALFORMED");
});
