import { CountersignError, concat, type Signer, uint, utf8 } from "@countersign/core";
import { isCheckpoint } from "./checkpoint.ts";
import type { NoteSignature } from "./note.ts";
import { verifierKey } from "./vkey.ts";

/**
 * The bytes that an Ed25519 cosigner signs (C2SP tlog-cosignature, type 0x04); `time` in whole seconds since 1970.
 *
 * They omit the cosigner's name, hence the rule of one key per cosigner.
 */
export function cosignatureMessage(text: string, time: number): Uint8Array {
  return utf8(`cosignature/v1\ntime ${time}\n${text}`);
}

/** A cosigner: its name and its one key. */
export type Cosigner = { readonly name: string; readonly signer: Signer };

/**
 * Cosigns a checkpoint's text: says that at `time` this is the largest consistent tree seen of its log.
 *
 * Whoever calls this has checked consistency and stored the checkpoint before the answer leaves.
 *
 * @throws CountersignError CHECKPOINT_MALFORMED for a text that is no checkpoint, or a time that is none.
 */
export function cosign(text: string, time: number, { name, signer }: Cosigner): NoteSignature {
  if (!isCheckpoint(text))
    throw new CountersignError("CHECKPOINT_MALFORMED", { message: "Only checkpoints are cosigned." });
  if (!Number.isSafeInteger(time) || time <= 0)
    throw new CountersignError("CHECKPOINT_MALFORMED", { message: "A cosignature's time is whole seconds past 1970." });
  const { id } = verifierKey(name, "cosignature", signer.publicKey);
  return { name, id, bytes: concat(uint(time, 8), signer.sign(cosignatureMessage(text, time))) };
}

/** The parts of a cosignature line (u64 time ‖ 64 bytes) and the bytes it signs, or undefined when it has another form. */
export function readCosignature(
  bytes: Uint8Array,
  text: string,
): { readonly time: number; readonly signature: Uint8Array; readonly message: Uint8Array } | undefined {
  if (bytes.length !== 72 || !isCheckpoint(text)) return undefined;
  const time = bytes.subarray(0, 8).reduce((n, byte) => n * 256n + BigInt(byte), 0n);
  // Zero stands for "no time", which a checkpoint's cosignature must not leave out.
  if (time === 0n || time > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return { time: Number(time), signature: bytes.subarray(8), message: cosignatureMessage(text, Number(time)) };
}
