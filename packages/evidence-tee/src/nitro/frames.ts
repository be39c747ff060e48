import { fault } from "../attestation.ts";
import { readCbor } from "./document.ts";

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", why);

/**
 * The document inside an answer of `/dev/nsm`: CBOR `{ "Attestation": { "document": bytes } }` and nothing else.
 *
 * @throws TEE_EVIDENCE_MALFORMED
 */
export function unwrapNsm(answer: Uint8Array): Uint8Array {
  const only = (value: unknown, name: string): unknown =>
    value instanceof Map && value.size === 1 && value.has(name)
      ? value.get(name)
      : bad("It is not the module's answer.");
  const document = only(only(readCbor(answer, "indefinite maps"), "Attestation"), "document");
  return document instanceof Uint8Array ? document : bad("The module's answer holds no document.");
}

/**
 * The document inside dstack's SCALE frame of a Nitro enclave.
 *
 * `00` (version) ‖ `02` (Nitro) ‖ compact length ‖ document ‖ events ‖ report data (64 bytes) ‖ compact length ‖
 * configuration (text). A Nitro enclave has no event log there: a frame with events is refused. Nothing in the frame but
 * the document is signed, so the rest is read for its form alone and given to nobody.
 *
 * @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA
 */
export function unwrapDstack(frame: Uint8Array): Uint8Array {
  if (frame[0] !== 0 || frame[1] !== 2) bad("It is not dstack's frame of a Nitro document.");
  const document = readScaleBytes(frame, 2);
  if (frame[document.end] !== 0) bad("dstack's frame holds events.");
  const reportData = document.end + 1;
  const configuration = readScaleBytes(frame, reportData + 64);
  if (configuration.end !== frame.length) fault("TEE_TRAILING_DATA", "Bytes stand behind dstack's frame.");
  return document.bytes;
}

/** Bytes after their length in SCALE's compact form: the low two bits of the first byte say how many bytes it has. */
function readScaleBytes(frame: Uint8Array, at: number): { readonly bytes: Uint8Array; readonly end: number } {
  const mode = (frame[at] ?? bad("dstack's frame ends early.")) & 3;
  if (mode === 3) bad("A length in dstack's frame is too great.");
  const size = 1 << mode;
  let length = 0;
  for (let i = size - 1; i >= 0; i--) length = length * 256 + (frame[at + i] ?? bad("dstack's frame ends early."));
  length = Math.floor(length / 4);
  if (size > 1 && length < 2 ** (4 * size - 2)) bad("A length in dstack's frame is not in its shortest form.");
  const end = at + size + length;
  if (end > frame.length) bad("dstack's frame ends early.");
  return { bytes: frame.subarray(at + size, end), end };
}
