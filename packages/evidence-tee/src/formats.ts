import type { AttestationFormat } from "@countersign/core";
import type { CheckDocument, CheckId } from "./attestation.ts";
import { checkSgx, checkTdx } from "./dcap/check.ts";
import { checkNitro } from "./nitro/check.ts";
import { checkNvidia } from "./nvidia/check.ts";
import { checkNvidiaEat } from "./nvidia/check-eat.ts";
import { checkSnp } from "./snp/check.ts";
import { checkConfidentialSpace } from "./token/check.ts";
import { checkTpm } from "./tpm/check.ts";

/** What must have passed for any document: without one of these it is a claim and no evidence. */
const signed = ["form", "algorithm", "root", "signature"] as const;
/** The same where certificates lead to the root. */
const certified = [...signed, "chain", "validity"] as const;

/**
 * Each format's checker, and the checks that must have passed before anything is believed.
 *
 * A check that is not listed still refuses when it fails. Revocation is listed wherever it can be judged offline: whoever
 * shows a document brings the list, so leaving it out would be the attacker's choice. What a document attests, and which
 * code, depends on what the caller asks: `measurement`, `binding` and a quote's `freshness` are his to require.
 */
export const formats: Readonly<
  Record<AttestationFormat, { readonly check: CheckDocument; readonly required: readonly CheckId[] }>
> = {
  nitro: { check: checkNitro, required: [...certified, "debug", "freshness"] },
  "sev-snp": { check: checkSnp, required: [...certified, "revocation", "tcb", "debug", "attributes"] },
  tdx: { check: checkTdx, required: [...certified, "revocation", "tcb", "debug", "attributes"] },
  sgx: { check: checkSgx, required: [...certified, "revocation", "tcb", "debug", "attributes"] },
  nvidia: { check: checkNvidia, required: [...certified, "freshness"] },
  "nvidia-eat": {
    check: checkNvidiaEat,
    required: [...signed, "chain", "revocation", "debug", "attributes", "freshness"],
  },
  tpm2: { check: checkTpm, required: [...certified, "attributes"] },
  "confidential-space": {
    check: checkConfidentialSpace,
    required: [...signed, "tcb", "debug", "attributes", "freshness"],
  },
};
