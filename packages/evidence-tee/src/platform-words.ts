import type { AttestationFormat } from "@countersign/core";
import { floorNames } from "./dcap/check.ts";
import { levelStatuses } from "./dcap/collateral.ts";
import { policyWord } from "./dcap/level.ts";

/** Names that a policy for the platform's level may use: components with a least level, statuses besides `up-to-date`. */
export type PlatformWords = { readonly floors: readonly string[]; readonly statuses: readonly string[] };

const none: PlatformWords = { floors: [], statuses: [] };
const intel = (more: readonly Parameters<typeof policyWord>[0][] = []): PlatformWords => ({
  floors: floorNames,
  // What is revoked is never accepted, whatever a policy names.
  statuses: [...levelStatuses, ...more].filter((s) => s !== "UpToDate" && s !== "Revoked").map(policyWord),
});

/** The words of each format: whoever names another has mistyped, and would wait in vain for it to count. */
export const platformWords: Readonly<Record<AttestationFormat, PlatformWords>> = {
  nitro: none,
  "sev-snp": { floors: ["bootloader", "tee", "snp", "microcode", "fmc", "alias-check"], statuses: ["unrated"] },
  tdx: intel(["TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"]),
  sgx: intel(),
  nvidia: none,
  "nvidia-eat": none,
  tpm2: none,
  "confidential-space": { floors: [], statuses: ["gcp-amd-sev", "gcp-amd-sev-es"] },
};
