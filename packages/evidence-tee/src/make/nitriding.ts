import { equalBytes, fromBase64, toHex } from "@countersign/core";
import { applicationHash } from "../nitro/document.ts";
import { type Attester, unavailable } from "./attester.ts";
import { exchange } from "./exchange.ts";
import { attestedNitro } from "./nitro-attested.ts";
import { type NsmDevice, nsmCalls } from "./nsm.ts";

/** Where nitriding listens inside the enclave. */
export type NitridingOptions = {
  /** Its internal server: takes the application's hash. */
  readonly internal: string;
  /** Its external server: gives documents. */
  readonly external: string;
  /** The enclave's device, for PCR 16: nitriding itself extends none. */
  readonly device: NsmDevice | null;
};

const nonceBytes = 20;
const failed = (why: string, cause?: unknown) => unavailable("nitriding", why, cause);

/**
 * An AWS Nitro enclave whose documents nitriding fetches (its HTTP API).
 *
 * The application's hash is fixed before anybody's nonce is known: it carries the statement without a nonce, and the
 * first 20 bytes of the nonce stand in the document's own field. User data is `1220 ‖ SHA-256(TLS certificate) ‖ 1220 ‖
 * hash`.
 */
export function nitridingAttester(options: NitridingOptions): Attester {
  const calls = options.device && nsmCalls(options.device, "nitriding");
  let announced: string | undefined;
  const announce = async (userData: Uint8Array) => {
    const hash = toHex(userData);
    if (announced === hash) return;
    const body = Buffer.from(userData).toString("base64");
    await exchange(
      { url: options.internal },
      { method: "POST", path: "/enclave/hash", body, contentType: "text/plain", limit: 4096 },
    );
    // Its outer server, which gives the documents, starts with this word.
    if (announced === undefined)
      await exchange({ url: options.internal }, { method: "GET", path: "/enclave/ready", limit: 4096 });
    announced = hash;
  };
  return {
    platform: "nitriding",
    bindsNonce: false,
    modelRegister: calls ? 16 : null,
    async attest({ userData, nonce }) {
      if (userData.length !== 32) throw failed("The application's hash has 32 bytes.");
      const asked = Buffer.alloc(nonceBytes);
      if (nonce) asked.set(nonce.subarray(0, nonceBytes));
      let document: Uint8Array;
      try {
        await announce(userData);
        const path = `/enclave/attestation?nonce=${asked.toString("hex")}`;
        const text = await exchange({ url: options.external }, { method: "GET", path, limit: 32_768 });
        document = fromBase64(text.toString("latin1").trim());
      } catch (cause) {
        throw failed(cause instanceof Error ? cause.message : "It did not answer.", cause);
      }
      return attestedNitro("nitriding", document, {
        userData: (inside) => equalBytes(applicationHash(inside) ?? new Uint8Array(), userData),
        nonce: new Uint8Array(asked),
      });
    },
    ...(calls && { extend: calls.extend, lock: calls.lock }),
    close: async () => options.device?.close(),
  };
}
