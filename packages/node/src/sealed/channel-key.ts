import { channelKeyPair, type OpenedRequest, openRequest } from "@countersign/channel";
import { CountersignError, type Hex, toHex } from "@countersign/core";

/** The key of a node's attested keyset that opens sealed requests; only measured code has one. */
export type ChannelKey = {
  /** X25519 key, as it stands in the keyset. */
  readonly key: Hex;
  /** Digest of the keyset in force: what a receipt's attestation is about. @throws NODE_NOT_ATTESTED */
  readonly keyset: () => Hex;
  /** Opens a request, and the same one never again. @throws CHANNEL_UNOPENED, NONCE_REPLAYED */
  readonly open: (sealed: {
    readonly enc: Uint8Array;
    readonly ciphertext: Uint8Array;
    readonly aad: Uint8Array;
  }) => Promise<OpenedRequest>;
};

/**
 * A channel key of 32 secret bytes, with the memory of what it has opened.
 *
 * That memory is no file: whoever owns the disk could delete or copy it and have one body answered again and again. A key
 * that lives as long as its memory, and is neither written down nor drawn twice, leaves him nothing to put back. It forgets
 * nothing by the clock either, since that is the host's.
 */
export async function channelKeyOf(secret: Uint8Array, keyset: () => Hex): Promise<ChannelKey> {
  const keys = await channelKeyPair(secret);
  const opened = new Set<Hex>();
  return {
    key: toHex(keys.key),
    keyset,
    async open(sealed) {
      const enc = toHex(sealed.enc);
      if (opened.has(enc)) throw replayed();
      // Before the first wait: two that come at one time are the same as one after the other.
      opened.add(enc);
      try {
        return await openRequest({ keys, ...sealed });
      } catch (error) {
        // It ran nothing and told nothing: whoever spoiled it on the way must not have spent the client's own.
        opened.delete(enc);
        throw error;
      }
    },
  };
}

const replayed = () =>
  new CountersignError("NONCE_REPLAYED", {
    message: "This sealed request was opened before.",
    why: "A body that is sealed once runs once.",
    remedy: "Seal the request anew and send it under a new nonce.",
  });
