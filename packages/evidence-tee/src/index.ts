export {
  type CheckDocument,
  type CheckId,
  type Collateral,
  checkTitles,
  type DocumentArgs,
  type DocumentReport,
  Fault,
  obstacleOf,
  type Root,
  type TcbPolicy,
  type TeeCheck,
  type TeeCode,
} from "./attestation.ts";
export { checkTee } from "./check.ts";
export {
  type AcceptedAttestation,
  type AttestationArgs,
  type AttestationReport,
  checkAttestation,
} from "./check-attestation.ts";
export { type PcsAnswers, packCollateral } from "./dcap/collateral.ts";
export { formats } from "./formats.ts";
export { extendRegister, foldModels, modelExtension } from "./measured-models.ts";
export { checkNitro } from "./nitro/check.ts";
export { unwrapDstack, unwrapNsm } from "./nitro/frames.ts";
export { checkNvidia } from "./nvidia/check.ts";
export { checkNvidiaEat, nvidiaIssuer } from "./nvidia/check-eat.ts";
export { type PlatformWords, platformWords } from "./platform-words.ts";
export { rememberVendorSignatures } from "./remember.ts";
export { pinnedRoots } from "./roots.ts";
export { openHclReport } from "./snp/hcl.ts";
export {
  checkConfidentialSpace,
  checkConfidentialSpaceFor,
  confidentialSpaceIssuer,
  tokenAudience,
} from "./token/check.ts";
export { tpmDocument } from "./tpm/document.ts";
export { readPem } from "./x509.ts";
