import type { EvidenceChecker } from "@countersign/core";
import { checkSignature } from "@countersign/evidence-signature";
import { checkTee } from "@countersign/evidence-tee";

/** The evidence kinds that this verifier knows. A new kind is one new package and one line here. */
export const kinds: readonly EvidenceChecker[] = [
  { kind: "signature", check: checkSignature },
  { kind: "tee", check: checkTee },
];
