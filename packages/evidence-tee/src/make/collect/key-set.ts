import { type Hex, isObject, parseJsonBytes } from "@countersign/core";
import type { Collateral } from "../../attestation.ts";
import { readKeys } from "../../token/key-set.ts";
import { ask, type Collecting, readAnswer, uncollected } from "./ask.ts";

/** Where vendors' verifiers publish the keys of their tokens. */
export const keySetServices = {
  "nvidia-eat": { keySet: "https://nras.attestation.nvidia.com/.well-known/jwks.json" },
  /** Google's document names the address of its key set. */
  "confidential-space": {
    configuration: "https://confidentialcomputing.googleapis.com/.well-known/openid-configuration",
    issuer: "https://confidentialcomputing.googleapis.com",
  },
} as const;

/** Where a key set is: itself, or the OpenID Connect Discovery document of an issuer that names it. */
export type KeySetPlace = { readonly keySet: string } | { readonly configuration: string; readonly issuer: string };

/**
 * Fetches a verifier's key set, kept byte for byte. One piece of the kind `jwks`, and the digest by which a trust may pin
 * it: that it is the vendor's is TLS's word alone, so people compare it before they pin it.
 *
 * @throws TEE_COLLATERAL_UNAVAILABLE
 */
export async function collectKeySet(
  args: Collecting & { readonly place: KeySetPlace },
): Promise<{ readonly collateral: readonly Collateral[]; readonly digest: Hex }> {
  const url = "keySet" in args.place ? args.place.keySet : await findKeySet(args, args.place);
  const { body } = await ask(args, url);
  const keys = readAnswer(url, () => readKeys(body));
  if (keys.length === 0) throw uncollected(url, "Its key set is empty.");
  const digest = await args.store.put(body);
  return { collateral: [{ kind: "jwks", data: body }], digest };
}

async function findKeySet(
  args: Collecting,
  { configuration, issuer }: { readonly configuration: string; readonly issuer: string },
): Promise<string> {
  const { body } = await ask(args, configuration);
  const value = readAnswer(configuration, () => parseJsonBytes(body));
  // OpenID Connect Discovery 1.0 §4.3: another issuer's document is none for this one.
  if (!isObject(value) || value.issuer !== issuer) throw uncollected(configuration, `It is not ${issuer}'s document.`);
  const { jwks_uri: uri } = value;
  if (typeof uri !== "string" || !URL.canParse(uri)) throw uncollected(configuration, "It names no key set.");
  return uri;
}
