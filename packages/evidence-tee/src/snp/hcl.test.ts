import { CountersignError, equalBytes } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import { openHclReport } from "./hcl.ts";
import { reportSize } from "./report.ts";

const encode = (text: string) => new TextEncoder().encode(text);

function makeFrame(
  text = `{"user-data":"${"AB".repeat(64)}"}`,
  edit: (bytes: Uint8Array, view: DataView) => void = () => {},
) {
  const runtime = encode(text);
  const end = 32 + reportSize + 20 + runtime.length;
  const bytes = new Uint8Array(end + 40);
  const view = new DataView(bytes.buffer);
  bytes.set(encode("HCLA"));
  for (const [at, value] of [
    [4, 2],
    [8, end],
    [12, 2],
    [1216, runtime.length + 20],
    [1220, 1],
    [1224, 2],
    [1228, 1],
    [1232, runtime.length],
  ] as const)
    view.setUint32(at, value, true);
  bytes.set(sha256(runtime), 32 + 0x50);
  bytes.set(runtime, 1236);
  edit(bytes, view);
  return bytes;
}
const codeOf = (frame: Uint8Array): string => {
  try {
    openHclReport(frame);
    return "opened";
  } catch (error) {
    return CountersignError.is(error) ? error.code : "thrown";
  }
};

test("a frame gives report, text, binding and what the guest wrote into it", () => {
  const { report, runtime, binding, userData } = openHclReport(makeFrame());
  expect(report.length).toBe(reportSize);
  expect(equalBytes(sha256(runtime), binding)).toBe(true);
  expect(userData).toEqual(new Uint8Array(64).fill(0xab));
  expect(openHclReport(makeFrame("{}")).userData).toBeNull();
});

const word = (at: number, value: number) => (_: Uint8Array, view: DataView) => view.setUint32(at, value, true);
const byte = (at: number, value: number) => (bytes: Uint8Array) => {
  bytes[at] = value;
};
test.each([
  ["another first word", byte(0, 0x49), "TEE_EVIDENCE_MALFORMED"],
  ["version 3", word(4, 3), "TEE_EVIDENCE_MALFORMED"],
  ["another size", word(8, 1), "TEE_EVIDENCE_MALFORMED"],
  ["another request", word(12, 4), "TEE_EVIDENCE_MALFORMED"],
  ["a failure", word(16, 1), "TEE_EVIDENCE_MALFORMED"],
  ["a reserved word", word(28, 1), "TEE_EVIDENCE_MALFORMED"],
  ["another size of the claims", word(1216, 1), "TEE_EVIDENCE_MALFORMED"],
  ["claims of another version", word(1220, 2), "TEE_EVIDENCE_MALFORMED"],
  ["another kind of report", word(1224, 4), "TEE_EVIDENCE_MALFORMED"],
  ["another hash", word(1228, 2), "TEE_EVIDENCE_MALFORMED"],
  ["a text longer than the frame", word(1232, 0xffffffff), "TEE_EVIDENCE_MALFORMED"],
  ["bytes behind the text", (bytes: Uint8Array) => void bytes.fill(1, bytes.length - 1), "TEE_TRAILING_DATA"],
  ["another text", byte(1240, 0x41), "TEE_REPORT_DATA_MISMATCH"],
  ["bytes behind the digest", byte(32 + 0x50 + 32, 1), "TEE_REPORT_DATA_MISMATCH"],
])("%s is refused", (_, edit, code) => {
  expect(codeOf(makeFrame(undefined, edit))).toBe(code);
});

test.each(["no JSON", '{"user-data":"ab"}', '{"user-data":1}', '{"a":1,"a":2}'])("the text %s is refused", (text) => {
  expect(codeOf(makeFrame(text))).toBe("TEE_EVIDENCE_MALFORMED");
});

test("a frame that is cut short is refused", () => {
  const frame = makeFrame();
  for (const length of [0, 4, 1235, 1240]) expect(codeOf(frame.subarray(0, length))).toBe("TEE_EVIDENCE_MALFORMED");
});
