import { parseSealedBody, type SealedRequest } from "@countersign/channel";
import {
  CountersignError,
  type EndpointPath,
  type Hex,
  type JsonObject,
  keyFor,
  type ParsedRequest,
} from "@countersign/core";
import type { Served } from "../catalogue.ts";

const name = Buffer.from("sealed");
const escaped = Buffer.from("\\u");

/** A sealed body, or undefined for an ordinary one; most bodies are told apart without being parsed. @throws CHANNEL_MALFORMED */
export function readSealed(body: Uint8Array): SealedRequest | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!bytes.includes(name) && !bytes.includes(escaped)) return undefined;
  return parseSealedBody(body);
}

/** What of a sealed request can be read on the way: model and price, and no content. */
export const clearRequest = (path: EndpointPath, { clear }: SealedRequest): ParsedRequest => ({
  path,
  value: clear as JsonObject,
  model: clear.model,
  suffix: undefined,
  contents: { rawRequest: undefined, system: undefined, messages: undefined, tools: undefined },
  params: {},
});

/** @throws CHANNEL_MALFORMED unless the client drew the nonce that his seal is bound to */
export function requireNonce(clientNonce: Hex | undefined): void {
  if (clientNonce !== undefined) return;
  throw new CountersignError("CHANNEL_MALFORMED", {
    message: "A sealed request comes with its client's own nonce.",
    why: "The seal is bound to it, and to its use once.",
    remedy: "Send the nonce that was sealed with as X-Countersign-Nonce.",
    param: "X-Countersign-Nonce",
  });
}

/**
 * The deployments whose enclave can open a request: attested, right now, with the keyset that it was sealed to.
 *
 * @throws NODE_NOT_ATTESTED, TEE_CHANNEL_NOT_BOUND
 */
export function attestedFor({ keyset, key }: SealedRequest, candidates: readonly Served[]): readonly Served[] {
  const attested = candidates.filter(({ attestation }) => attestation !== undefined);
  if (attested.length === 0) {
    throw new CountersignError("NODE_NOT_ATTESTED", {
      message: "No deployment of this model runs in an enclave that this gateway accepts.",
      remedy: "Send the request in clear, or ask another gateway.",
    });
  }
  const holding = attested.filter(({ attestation }) => isHolding(attestation, keyset, key));
  if (holding.length > 0) return holding;
  throw new CountersignError("TEE_CHANNEL_NOT_BOUND", {
    message: "The request is sealed to a key that no enclave of this model is attested with.",
    remedy: "Fetch the attestation again and seal anew: the keys may have changed.",
  });
}

const isHolding = (attestation: Served["attestation"], keyset: Hex, key: Hex): boolean =>
  attestation?.keysetDigest === keyset && keyFor(attestation.keyset, "channel") === key;
