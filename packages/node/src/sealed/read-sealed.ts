import { isSealedBody, parseSealedBody, type SealedRequest } from "@countersign/channel";
import { CountersignError, type Hex } from "@countersign/core";
import type { ChannelKey } from "./channel-key.ts";

const name = Buffer.from("sealed");
const escaped = Buffer.from("\\u");

/** A sealed body, or undefined for an ordinary one; most bodies are told apart without being parsed. @throws CHANNEL_MALFORMED */
export function readSealed(body: Uint8Array): SealedRequest | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!bytes.includes(name) && !bytes.includes(escaped)) return undefined;
  return parseSealedBody(body);
}

/** Refuses a sealed part where an ordinary request is read: one inside another has no meaning. @throws CHANNEL_MALFORMED */
export function refuseSealed(value: Parameters<typeof isSealedBody>[0]): void {
  if (!isSealedBody(value)) return;
  throw new CountersignError("CHANNEL_MALFORMED", {
    message: "A sealed part stands where an ordinary request is read.",
    param: "sealed",
  });
}

/**
 * That a request is sealed to the keyset in force. One that has been renewed since is refused although its key would still
 * open: the receipt's attestation is about the new one, and would prove nothing for this request.
 *
 * @throws NODE_NOT_ATTESTED, TEE_CHANNEL_NOT_BOUND
 */
export function requireOwnKey(
  sealed: { readonly keyset: Hex; readonly key: Hex },
  channel: ChannelKey | undefined,
): ChannelKey {
  if (!channel) {
    throw new CountersignError("NODE_NOT_ATTESTED", {
      message: "This node runs in no enclave: it has no key that opens sealed requests.",
    });
  }
  if (sealed.keyset !== channel.keyset() || sealed.key !== channel.key) {
    throw new CountersignError("TEE_CHANNEL_NOT_BOUND", {
      message: "The request is sealed to another keyset than this node's.",
      remedy: "Fetch the node's attestation again and seal anew: its keys may have changed.",
    });
  }
  return channel;
}
