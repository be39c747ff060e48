import { canonicalBytes, utf8 } from "@countersign/core";
import { digestImage, type EnclaveImage } from "./image.ts";
import { measuredRegister } from "./registers.ts";
import type { Tier } from "./sandbox.ts";

/** Values of PCR 0, 1 and 2 (docs/enclave.md): code with lockfile and dependencies, runtime, configuration and flags. */
export function measure(
  image: EnclaveImage,
  given: { readonly config: unknown; readonly entry: string; readonly flags: readonly string[]; readonly tier: Tier },
): readonly [Uint8Array, Uint8Array, Uint8Array] {
  const text = utf8("countersign/enclave-start/v1\n");
  const start = new Uint8Array([...text, ...canonicalBytes({ ...given })]);
  return [
    measuredRegister(digestImage(image.code)),
    measuredRegister(digestImage(image.runtime)),
    measuredRegister(start),
  ];
}
