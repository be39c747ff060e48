import { createECDH, createPrivateKey, createPublicKey } from "node:crypto";
import { fromHex, type Hex, type Keyset, toHex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import * as z from "zod";

const seed = z.string().regex(/^[0-9a-f]{64}$/);

/** Private bytes of an enclave's three keys: born inside, never outside but sealed. */
export const seedsShape = z.strictObject({ receipt: seed, channel: seed, settlement: seed });
export type Seeds = z.infer<typeof seedsShape>;

const secp256k1Order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Draws the seeds. */
export function drawSeeds(random: (length: number) => Uint8Array): Seeds {
  const scalar = (): Hex => {
    const drawn = toHex(random(32));
    const n = BigInt(`0x${drawn}`);
    return n > 0n && n < secp256k1Order ? drawn : scalar();
  };
  return { receipt: toHex(random(32)), channel: toHex(random(32)), settlement: scalar() };
}

// DER of an X25519 PrivateKeyInfo up to the 32 key bytes (RFC 8410).
const x25519 = fromHex("302e020100300506032b656e04220420");

/** Public X25519 key of 32 private bytes. */
function channelPublic(seed: Hex): Hex {
  const key = createPrivateKey({ key: Buffer.concat([x25519, fromHex(seed)]), format: "der", type: "pkcs8" });
  return createPublicKey(key).export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
}

function settlementPublic(seed: Hex): Hex {
  const key = createECDH("secp256k1");
  key.setPrivateKey(Buffer.from(seed, "hex"));
  return key.getPublicKey("hex", "compressed");
}

/** The keyset of these seeds: three keys, one a use, sorted by use. */
export function keysetOf(
  seeds: Seeds,
  facts: { readonly network: string; readonly models: readonly Hex[]; readonly notAfter: number },
): Keyset {
  return {
    suite: "countersign/keyset/v1",
    network: facts.network,
    scope: "inference",
    notAfter: facts.notAfter,
    models: [...new Set(facts.models)].sort(),
    // GPUs of dstack are attested at boot by its agent, which gives no document of its own.
    gpus: 0,
    keys: [
      { use: "channel", algorithm: "x25519", key: channelPublic(seeds.channel) },
      { use: "receipt", algorithm: "ed25519", key: toHex(ed25519Signer(fromHex(seeds.receipt)).publicKey) },
      { use: "settlement", algorithm: "secp256k1", key: settlementPublic(seeds.settlement) },
    ],
  };
}
