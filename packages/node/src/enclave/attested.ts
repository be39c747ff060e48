import {
  attestationBytes,
  attestationEvidenceFormat,
  attestationMediaType,
  CountersignError,
  type Envelope,
  fromHex,
  type Hex,
  type Keyset,
  keysetBinding,
  keysetDigest,
  type Signer,
  sha256Hex,
  signEvidence,
  toBase64,
  toHex,
} from "@countersign/core";
import type { Attester } from "@countersign/evidence-tee/make";
import { type ChannelKey, channelKeyOf } from "../sealed/channel-key.ts";
import { keysetOf, type Seeds } from "./keys.ts";
import type { Provenance } from "./provenance.ts";

const hour = 3_600_000;
/** Life of a keyset: below the day that verifiers accept. A new one follows after half of it. */
const keysetLife = 23 * hour;
/** Age at which a document is made anew, and at which it is not shown any more, unless its certificates end before. */
const documentLife = { fresh: hour, last: 2 * hour };
/** Before its certificates end a document is made anew: receipts are checked with it for a while. */
const ahead = 900_000;

/** What is attested now: the keyset and the bytes that prove it to others. */
export type InForce = { readonly keyset: Keyset; readonly digest: Hex; readonly attestation: Uint8Array };

/** An enclave's keys as the node uses them. */
export type NodeEnclave = {
  /** The keyset in force and its document. @throws NODE_NOT_ATTESTED when there is no fresh one: then nothing is run */
  readonly current: (
    /** A keyset that a run began under: its document stays good for that run although a new one is in force. */
    keyset?: Hex,
  ) => InForce;
  /** The channel key of the last keyset. It never leaves this process, and is dropped with its keyset. */
  readonly channel: () => ChannelKey;
  /** A fresh document, over a nonce of 32 bytes. @throws TEE_UNAVAILABLE */
  readonly attest: (nonce: Hex) => Promise<Uint8Array>;
  /** Registration of the receipt key, when a registrar has given one. */
  readonly registration: () => Envelope | undefined;
  /** Takes a registration. @throws ENVELOPE_MALFORMED, STATEMENT_MALFORMED, DOMAIN_MISMATCH, NODE_NOT_ACTIVE */
  readonly register: (envelope: unknown) => Promise<void>;
};

/** Keeps a keyset attested. */
export type AttestedKeys = Pick<NodeEnclave, "current" | "channel" | "attest"> & {
  /** Renews what is due: the keyset after half its life, the document after an hour. @throws TEE_UNAVAILABLE */
  readonly refresh: () => Promise<void>;
};

/**
 * Attests a keyset and keeps it so. Each keyset, at a start and at each renewal, has a channel key of its own, drawn here
 * and kept in memory alone: nothing sealed before can be opened again, neither by this node nor by whoever gets its sealed
 * storage. Receipt and settlement keys are the same in all of them, so a registration stays good.
 *
 * @throws TEE_UNAVAILABLE when the first document cannot be had: the node then does not serve
 */
export async function attestKeys(args: {
  readonly seeds: Seeds;
  readonly network: string;
  readonly models: readonly Hex[];
  readonly attester: Attester;
  readonly random: (length: number) => Uint8Array;
  readonly provenance: Provenance;
  readonly now: () => number;
}): Promise<AttestedKeys> {
  const { seeds, attester, now } = args;
  let held: (InForce & { readonly channel: ChannelKey }) | undefined;
  let due = 0;
  let last = 0;
  let before: { readonly inForce: InForce; readonly last: number } | undefined;
  const isYoung = (k: Keyset, at: number) => k.notAfter - at > keysetLife / 2 && k.notAfter - at <= keysetLife;
  const bundle = async (keyset: Keyset, nonce: Hex | null) => {
    const bound = attester.bindsNonce ? nonce : null;
    const { evidence, collateral, notAfter } = await attester.attest({
      userData: keysetBinding(keysetDigest(keyset), bound),
      nonce: nonce === null ? null : fromHex(nonce),
    });
    const bytes = attestationBytes({
      suite: "countersign/attestation/v1",
      keyset,
      nonce: bound,
      evidence: evidence.map(({ format, document }) => ({ format, document: toBase64(document) })),
      collateral: collateral.map(({ kind, data }) => ({ kind, data: toBase64(data) })),
      provenance: [...args.provenance],
      madeAt: now(),
    });
    return { bytes, ends: notAfter ?? Number.MAX_SAFE_INTEGER };
  };
  const refresh = async () => {
    const at = now();
    const young = held && isYoung(held.keyset, at) ? held : undefined;
    if (young && at < due) return;
    const { keyset, channel } = young ?? (await draw(at + keysetLife));
    const { bytes: attestation, ends } = await bundle(keyset, null);
    if (held && !young) before = { inForce: held, last };
    held = { keyset, digest: keysetDigest(keyset), attestation, channel };
    due = Math.min(at + documentLife.fresh, ends - ahead);
    last = Math.min(at + documentLife.last, ends, keyset.notAfter);
  };
  const current = (keyset?: Hex): InForce => {
    if (keyset !== undefined && before?.inForce.digest === keyset && now() < before.last) return before.inForce;
    if (held && now() < last) return held;
    throw new CountersignError("NODE_NOT_ATTESTED", {
      message: "The enclave's attestation has run out and could not be made anew.",
      why: "Its platform did not answer for more than an hour.",
      remedy: "Ask another node; the operator finds the reason in the node's log.",
    });
  };
  const draw = async (notAfter: number) => {
    const secret = args.random(32);
    const channel = await channelKeyOf(secret, () => current().digest);
    secret.fill(0);
    return { channel, keyset: keysetOf(seeds, { ...args, notAfter, channel: channel.key }) };
  };
  await refresh();
  return {
    refresh,
    current,
    channel: () => (held as NonNullable<typeof held>).channel,
    attest: async (nonce) => (await bundle(current().keyset, nonce)).bytes,
  };
}

/** The evidence item that an enclave adds to a receipt: its attestation, about this receipt root. */
export function attestationItem(
  receiptRoot: Hex,
  { digest, attestation, keyset }: InForce,
  signer: Signer,
  at: number,
): { readonly envelope: Envelope; readonly blob: string } {
  const envelope = signEvidence(
    receiptRoot,
    {
      suite: "countersign/evidence/v1",
      network: keyset.network,
      kind: "tee",
      format: attestationEvidenceFormat,
      issuer: toHex(signer.publicKey),
      says: "supports",
      blob: { digest: sha256Hex(attestation), size: attestation.length, mediaType: attestationMediaType },
      binds: "keyset.keys[use=receipt]",
      facts: { keyset: digest },
      producedAt: at,
    },
    signer,
  );
  return { envelope, blob: toBase64(attestation) };
}
