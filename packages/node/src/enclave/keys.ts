import { createECDH } from "node:crypto";
import { fromHex, type Hex, type Keyset, toHex } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import * as z from "zod";

const seed = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * Private bytes of the two keys of an enclave that outlive a start: born inside, never outside but sealed. The third, the
 * channel's, is not among them: it dies with its keyset (attested.ts).
 */
export const seedsShape = z.strictObject({ receipt: seed, settlement: seed });
export type Seeds = z.infer<typeof seedsShape>;

const secp256k1Order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Draws the seeds. */
export function drawSeeds(random: (length: number) => Uint8Array): Seeds {
  const scalar = (): Hex => {
    const drawn = toHex(random(32));
    const n = BigInt(`0x${drawn}`);
    return n > 0n && n < secp256k1Order ? drawn : scalar();
  };
  return { receipt: toHex(random(32)), settlement: scalar() };
}

function settlementPublic(seed: Hex): Hex {
  const key = createECDH("secp256k1");
  key.setPrivateKey(Buffer.from(seed, "hex"));
  return key.getPublicKey("hex", "compressed");
}

/** The keyset of these seeds and a channel's public key: three keys, one a use, sorted by use. */
export function keysetOf(
  seeds: Seeds,
  facts: {
    readonly network: string;
    readonly models: readonly Hex[];
    readonly notAfter: number;
    readonly channel: Hex;
  },
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
      { use: "channel", algorithm: "x25519", key: facts.channel },
      { use: "receipt", algorithm: "ed25519", key: toHex(ed25519Signer(fromHex(seeds.receipt)).publicKey) },
      { use: "settlement", algorithm: "secp256k1", key: settlementPublic(seeds.settlement) },
    ],
  };
}
