import { toHex } from "@countersign/core";
import { fault } from "../attestation.ts";

/** Numbers of the TCG Algorithm Registry that a quote may name: ECDSA and SHA-256. */
export const algorithms = { ecdsa: 0x0018, sha256: 0x000b } as const;

/** What a TPM 2.0 says in a quote (TCG TPM 2.0 Library Part 2, TPMS_ATTEST with TPMS_QUOTE_INFO). */
export type TpmQuote = {
  /** Name of the signing key as qualified by those above it. */
  readonly signer: Uint8Array;
  /** What the caller gave: the nonce, or the digest that is bound. */
  readonly extraData: Uint8Array;
  /** Milliseconds that the TPM was powered, resets, restarts; `safe` is false when the clock may have gone back. */
  readonly clock: { readonly time: bigint; readonly resets: number; readonly restarts: number; readonly safe: boolean };
  /** Hex of the vendor's number. */
  readonly firmware: string;
  /** Banks in the order in which they were asked for; PCR numbers ascend. */
  readonly selections: readonly { readonly hash: number; readonly pcrs: readonly number[] }[];
  /** Digest over the selected registers, one after the other. */
  readonly digest: Uint8Array;
};

const bad = (why: string): never => fault("TEE_EVIDENCE_MALFORMED", `Quote: ${why}.`);

/** Reads big-endian numbers and sized byte strings one after the other; nothing may be left at the end. */
function openReader(bytes: Uint8Array) {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) bad("it ends inside a value");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const number = (width: 1 | 2 | 4): number => take(width).reduce((n, b) => n * 256 + b, 0);
  return {
    take,
    number,
    sized: (most: number): Uint8Array => {
      const length = number(2);
      return length > most ? bad("a value is longer than its type allows") : take(length);
    },
    end: () => {
      if (at !== bytes.length) fault("TEE_TRAILING_DATA", "Bytes stand behind the quote or its signature.");
    },
  };
}

/** Reads a TPMS_ATTEST that is a quote. @throws TEE_EVIDENCE_MALFORMED, TEE_TRAILING_DATA */
export function parseQuote(bytes: Uint8Array): TpmQuote {
  const { take, number, sized, end } = openReader(bytes);
  // A restricted key signs no foreign bytes that begin so: the TPM made this structure itself.
  if (number(4) !== 0xff544347) bad("it does not begin with the number by which a TPM marks its own");
  if (number(2) !== 0x8018) bad("the structure is another than a quote");
  const signer = sized(68);
  const extraData = sized(66);
  const time = BigInt(`0x${toHex(take(8))}`);
  const [resets, restarts, safe] = [number(4), number(4), number(1)];
  if (safe > 1) bad("a yes or no is neither");
  const firmware = toHex(take(8));
  const count = number(4);
  if (count > 16) bad("it selects more banks than there can be");
  const selections = Array.from({ length: count }, () => {
    const hash = number(2);
    const size = number(1);
    // sizeofSelect is 3 for the 24 registers of a PC; 4 is the most that a TPM has.
    if (size < 3 || size > 4) bad("a selection of another size");
    const bits = take(size);
    const pcrs = Array.from({ length: 8 * size }, (_, i) => i).filter((i) => ((bits[i >> 3] as number) >> (i & 7)) & 1);
    return { hash, pcrs };
  });
  const digest = sized(64);
  end();
  return { signer, extraData, clock: { time, resets, restarts, safe: safe === 1 }, firmware, selections, digest };
}

/** A signature of a TPM: its two algorithms and, where they are ours, r ‖ s (64 bytes). */
export type TpmSignature = { readonly scheme: number; readonly hash: number; readonly bytes: Uint8Array | null };

/** Reads a TPMT_SIGNATURE; the parts of another scheme than ECDSA are not looked at. @throws as `parseQuote` */
export function parseSignature(bytes: Uint8Array): TpmSignature {
  const { number, sized, end } = openReader(bytes);
  const [scheme, hash] = [number(2), number(2)];
  if (scheme !== algorithms.ecdsa || hash !== algorithms.sha256) return { scheme, hash, bytes: null };
  const out = new Uint8Array(64);
  // TPMs differ in whether they drop leading zeros.
  for (const half of [32, 64]) {
    const value = sized(32);
    out.set(value, half - value.length);
  }
  end();
  return { scheme, hash, bytes: out };
}
