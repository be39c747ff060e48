import { channelAad, clearPart, sealRequest, writeSealedBody } from "@countersign/channel";
import {
  concat,
  demandBytes,
  fromHex,
  type JsonObject,
  parseObjectWithSlices,
  requestDigest,
  toHex,
  utf8,
} from "@countersign/core";
import { attestedKeys, requireConfidant } from "../attested-keys.ts";
import type { Prepared } from "../request.ts";
import type { Settings } from "../settings.ts";

/**
 * The request as it is sealed: without policy and level, which travel in clear. Everything else stays the bytes that
 * the caller wrote.
 */
export function innerBody({ plain, value, model }: Pick<Prepared, "plain" | "value" | "model">): Uint8Array {
  if (value.verification === undefined && value.model === model) return plain;
  const { members } = parseObjectWithSlices(plain).slices;
  const kept = [...members].filter(([name]) => name !== "verification");
  const parts = kept.flatMap(([name, [from, to]], i) => [
    utf8(`${i === 0 ? "{" : ","}${JSON.stringify(name)}:`),
    name === "model" ? utf8(JSON.stringify(model)) : plain.subarray(from, to),
  ]);
  return concat(...parts, utf8("}"));
}

/**
 * Seals a prepared request to the enclave that serves its model, after that enclave's attestation was checked
 * (spec/channel.md §3). Under a nonce of its own, so that sealing it again is another request.
 *
 * @throws what `attestedKeys` and `requireConfidant` throw, CHANNEL_MALFORMED; nothing of the prompt has left
 */
export async function seal(settings: Settings, prepared: Prepared): Promise<Prepared> {
  const keys = await attestedKeys(settings, prepared.model, prepared.signal);
  requireConfidant(keys, prepared.demand);
  const { path, demand } = prepared;
  const plain = innerBody(prepared);
  const clear = clearPart({ ...prepared.value, model: prepared.model } satisfies JsonObject);
  const clientNonce = toHex(settings.random(32));
  const policy = demandBytes(demand);
  const { keysetDigest: keyset, channelKey: key } = keys;
  const { enc, ciphertext, openAnswer } = await sealRequest({
    key: fromHex(key),
    aad: channelAad({ clear, clientNonce, keyset, path, demand: policy }),
    body: plain,
    random: settings.random,
  });
  const body = writeSealedBody({ clear, keyset, key, enc, ciphertext }) as Uint8Array<ArrayBuffer>;
  const digest = requestDigest({ clientNonce: fromHex(clientNonce), method: "POST", path, policy, body });
  return {
    ...prepared,
    body,
    plain,
    clientNonce,
    requestDigest: toHex(digest),
    headers: { ...prepared.headers, "x-countersign-nonce": clientNonce },
    sealed: { keys, openAnswer },
  };
}
