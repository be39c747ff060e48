import { CountersignError, equalBytes, fromHex, fromUtf8, isObject, parseJson } from "@countersign/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { reportSize } from "./report.ts";

/** What Azure's paravisor hands out: a report, and the text whose digest the report carries. */
export type HclReport = {
  /** The SEV-SNP report, for `checkSnp`. */
  readonly report: Uint8Array;
  /** UTF-8 JSON, byte for byte; its SHA-256 is the report's data. */
  readonly runtime: Uint8Array;
  /** SHA-256 of `runtime`: the binding to check the report with. */
  readonly binding: Uint8Array;
  /** The 64 bytes that the guest had written into the text, or null where it has none. */
  readonly userData: Uint8Array | null;
};

const header = 32;
const claims = header + reportSize;
const text = claims + 20;

/**
 * Takes an Azure "HCLA" frame apart by its grammar; nothing is searched for.
 *
 * All numbers are little-endian 32-bit words. 0: `HCLA`, version (2), size of all that follows up to the padding,
 * kind of request (2, SNP), status (0), three reserved; 32: the report; 1216: size from here, version (1), kind of
 * report (2, SNP), hash (1, SHA-256), size of the text; 1236: the text. Behind it zeros to the end of the TPM's index.
 *
 * @throws CountersignError TEE_EVIDENCE_MALFORMED; TEE_TRAILING_DATA; TEE_REPORT_DATA_MISMATCH when the report does not
 * carry the text's digest
 */
export function openHclReport(frame: Uint8Array): HclReport {
  if (frame.length < text || frame.length > 65_536) refuse("TEE_EVIDENCE_MALFORMED", "it is too short or too long");
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const word = (at: number) => view.getUint32(at, true);
  const expect = (at: number, value: number, what: string) => {
    if (word(at) !== value) refuse("TEE_EVIDENCE_MALFORMED", `its ${what} is ${word(at)}`);
  };
  expect(0, 0x414c4348, "first word");
  expect(4, 2, "version");
  expect(12, 2, "kind of request");
  expect(16, 0, "status");
  for (const at of [20, 24, 28]) expect(at, 0, "reserved word");
  expect(claims + 4, 1, "version of the claims");
  expect(claims + 8, 2, "kind of report");
  expect(claims + 12, 1, "hash");
  const length = word(claims + 16);
  const end = text + length;
  if (end > frame.length) refuse("TEE_EVIDENCE_MALFORMED", "its text is longer than the frame");
  expect(claims, length + 20, "size of the claims");
  expect(8, end, "size");
  if (frame.subarray(end).some((b) => b !== 0)) refuse("TEE_TRAILING_DATA", "bytes stand behind its text");
  const runtime = frame.subarray(text, end);
  const report = frame.subarray(header, claims);
  const binding = sha256(runtime);
  const data = report.subarray(0x50, 0x90);
  if (!equalBytes(data.subarray(0, 32), binding) || data.subarray(32).some((b) => b !== 0))
    refuse("TEE_REPORT_DATA_MISMATCH", "its report does not carry the digest of its text");
  return { report, runtime, binding, userData: userDataOf(runtime) };
}

function userDataOf(runtime: Uint8Array): Uint8Array | null {
  try {
    const value = parseJson(fromUtf8(runtime));
    const data = isObject(value) ? value["user-data"] : undefined;
    if (data === undefined) return null;
    const bytes = fromHex(String(data).toLowerCase());
    if (bytes.length === 64) return bytes;
  } catch {
    // Below.
  }
  return refuse("TEE_EVIDENCE_MALFORMED", "its text cannot be read");
}

function refuse(code: "TEE_EVIDENCE_MALFORMED" | "TEE_TRAILING_DATA" | "TEE_REPORT_DATA_MISMATCH", why: string): never {
  throw new CountersignError(code, { message: `The HCL frame is refused: ${why}.` });
}
