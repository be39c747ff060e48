import {
  type Assurance,
  type Entry,
  type EntryFlag,
  type Envelope,
  encodeEntry,
  envelopeDigest,
  type Hex,
  noDigest,
} from "@countersign/core";

/** How the public log counts what a root stands for. */
export const flagOf: Readonly<Record<Assurance, EntryFlag>> = {
  hardware: "hardware",
  "vendor-verifier": "vendor",
  simulated: "simulated",
};

/** What an entry that is about no run says: what it is about, and by whom. */
export type PlainSubject = Pick<Entry, "kind" | "subject" | "issuer"> &
  Partial<Pick<Entry, "model" | "deployment" | "hour">> & {
    /** What an attested key's document shows. */
    readonly hardware?: Assurance;
  };

/** Bytes of an entry that counts no level, token or price. Without an hour, the same thing has the same bytes and so one place. */
export const encodePlainEntry = (about: PlainSubject, envelope: Envelope, development: boolean): Uint8Array =>
  encodeDocumentEntry(about, envelopeDigest(envelope), development);

/** The same about a document that is no envelope: named by the SHA-256 of its bytes. */
export function encodeDocumentEntry(
  { hardware, ...about }: PlainSubject,
  document: Hex,
  development: boolean,
): Uint8Array {
  return encodeEntry({
    flags: [...(development ? (["development"] as const) : []), ...(hardware ? [flagOf[hardware]] : [])],
    envelope: document,
    model: noDigest,
    tag: noDigest,
    deployment: noDigest,
    demanded: [],
    bought: 0,
    delivered: 0,
    tokens: 0,
    value: 0,
    hour: 0,
    ...about,
  });
}
