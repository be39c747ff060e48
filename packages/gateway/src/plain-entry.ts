import { type Entry, type Envelope, encodeEntry, envelopeDigest, noDigest } from "@countersign/core";

/** What an entry that is about no run says: what it is about, and by whom. */
export type PlainSubject = Pick<Entry, "kind" | "subject" | "issuer"> &
  Partial<Pick<Entry, "model" | "deployment" | "hour">>;

/** Bytes of an entry that counts no level, token or price. Without an hour, the same thing has the same bytes and so one place. */
export function encodePlainEntry(about: PlainSubject, envelope: Envelope, development: boolean): Uint8Array {
  return encodeEntry({
    flags: development ? ["development"] : [],
    envelope: envelopeDigest(envelope),
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
