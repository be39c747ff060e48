import { CountersignError, type Envelope, envelopeShape, type Hex, isObject } from "@countersign/core";
import { standingOfKey } from "@countersign/evidence-signature";
import { readBytes, readError, readObject, send } from "./http.ts";
import type { Settings } from "./settings.ts";

/** The registration that a gateway shows of itself; only a registrar in `Trust` makes it worth anything. */
async function fetchRegistration(settings: Settings): Promise<readonly Envelope[]> {
  const response = await send(settings, "/v1/network", { method: "GET" });
  if (!response.ok) throw await readError(response);
  const { gateway } = readObject(await readBytes(response));
  const read = envelopeShape.safeParse(isObject(gateway) ? gateway.registration : undefined);
  return read.success ? [read.data] : [];
}

/**
 * Checks that `Trust` stands behind a gateway's key: named in it, or registered by a registrar named in it.
 *
 * @throws OFFER_SIGNATURE_INVALID
 */
export async function requireGatewayKey(settings: Settings, key: Hex): Promise<void> {
  const { trust, suite } = settings;
  const judge = (keys: readonly Envelope[]) =>
    standingOfKey({ key, role: "gateway", times: [settings.now()], keys, trust, suite });
  let standing = judge([]);
  if (standing.status === "unknown" && trust.registrars.length > 0) {
    standing = judge(settings.registrations.get(key) ?? []);
    if (standing.status === "unknown") {
      const shown = await fetchRegistration(settings);
      standing = judge(shown);
      if (standing.status === "known") settings.registrations.set(key, shown);
    }
  }
  if (standing.status === "known") return;
  throw new CountersignError("OFFER_SIGNATURE_INVALID", {
    message: "The offer is signed by a gateway that nobody in the trust stands behind. Nothing was signed.",
    why: standing.reason,
    remedy: "Do not pay it. Check the gateway's address, and that the trust file is this network's.",
    facts: { gateway: key },
  });
}
