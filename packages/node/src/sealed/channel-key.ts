import { channelKeyPair, type OpenedRequest, openRequest } from "@countersign/channel";
import { type Hex, toHex } from "@countersign/core";
import type { NodeEnclave } from "../enclave/attested.ts";

/** The key of this node's attested keyset that opens sealed requests; only measured code has one. */
export type ChannelKey = {
  /** X25519 key, as it stands in the keyset. */
  readonly key: Hex;
  /** Digest of the keyset in force: what a receipt's attestation is about. @throws NODE_NOT_ATTESTED */
  readonly keyset: () => Hex;
  /** `openRequest` of the channel, with the private key. @throws CHANNEL_UNOPENED */
  readonly open: (sealed: {
    readonly enc: Uint8Array;
    readonly ciphertext: Uint8Array;
    readonly aad: Uint8Array;
  }) => Promise<OpenedRequest>;
};

/** The channel key of an enclave. */
export async function channelKeyOf({ channelKey, current }: NodeEnclave): Promise<ChannelKey> {
  const keys = await channelKeyPair(channelKey);
  return {
    key: toHex(keys.key),
    keyset: () => current().digest,
    open: (sealed) => openRequest({ keys, ...sealed }),
  };
}
