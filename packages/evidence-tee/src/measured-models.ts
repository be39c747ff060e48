import { concat, fromHex, type Hex } from "@countersign/core";
import { sha384 } from "@noble/hashes/sha2.js";

/** What is extended into the register for one model: SHA-384 of its manifest's digest. */
export const modelExtension = (model: Hex): Uint8Array => sha384(fromHex(model));

/** A register after an extension, as TPMs and the Nitro hypervisor do it. */
export const extendRegister = (register: Uint8Array, extension: Uint8Array): Uint8Array =>
  sha384(concat(register, extension));

/** Value of PCR 16 after the models' manifests, sorted by digest, were extended into it (spec/tee.md §5). */
export const foldModels = (models: readonly Hex[]): Uint8Array =>
  [...models]
    .sort()
    .reduce<Uint8Array>((register, model) => extendRegister(register, modelExtension(model)), new Uint8Array(48));
