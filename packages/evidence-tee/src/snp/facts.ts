import { toHex } from "@countersign/core";
import type { SnpReport } from "./report.ts";
import type { Endorsed } from "./tcb.ts";

/** Bits of PLATFORM_INFO by name (AMD 56860, "PLATFORM_INFO"). */
const platformBits = [
  "smt",
  "tsme",
  "ecc",
  "rapl-disabled",
  "ciphertext-hiding",
  "alias-check",
  "reserved-6",
  "tio",
] as const;

/** What else the firmware signed, for people. Digests that are all zero say nothing and are left out. */
export function factsOf(report: SnpReport, endorsed: Endorsed | undefined): Readonly<Record<string, string>> {
  const digests = {
    familyId: report.familyId,
    imageId: report.imageId,
    idKeyDigest: report.idKeyDigest,
    authorKeyDigest: report.authorKeyDigest,
  };
  const shown = Object.entries(digests).filter(([, bytes]) => bytes.some((b) => b !== 0));
  return {
    version: String(report.version),
    guestSvn: String(report.guestSvn),
    policy: `0x${report.policy.toString(16)}`,
    vmpl: String(report.vmpl),
    signingKey: report.signingKey === 0 ? "VCEK" : report.signingKey === 1 ? "VLEK" : "none",
    platform: platformBits.filter((_, i) => (report.platformInfo >> BigInt(i)) & 1n).join(" "),
    firmware: report.firmware.current,
    committedFirmware: report.firmware.committed,
    reportId: toHex(report.reportId),
    ...Object.fromEntries(shown.map(([name, bytes]) => [name, toHex(bytes)])),
    ...(report.cpuid && {
      processor: `family ${report.cpuid.family}, model ${report.cpuid.model}, stepping ${report.cpuid.stepping}`,
    }),
    ...(report.mitigations && {
      launchMitigations: `0x${report.mitigations.launch.toString(16)}`,
      mitigations: `0x${report.mitigations.current.toString(16)}`,
    }),
    ...(endorsed?.chip && { chip: endorsed.chip }),
    ...(endorsed?.product && { product: endorsed.product }),
    ...(endorsed?.provider && { provider: endorsed.provider }),
  };
}
