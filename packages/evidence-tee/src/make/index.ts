export { extendRegister, foldModels, modelExtension } from "../measured-models.ts";
export { type AttestArgs, type Attested, type Attester, unavailable } from "./attester.ts";
export {
  type CertificateArgs,
  type IssuedCertificate,
  type KeyType,
  makeCertificate,
  makeCrl,
  pemOf,
} from "./certificate.ts";
export type { Collecting } from "./collect/ask.ts";
export { collectDcap, intelService } from "./collect/dcap.ts";
export { collectKeySet, type KeySetPlace, keySetServices } from "./collect/key-set.ts";
export { amdService, collectSnp } from "./collect/snp.ts";
export { type CollateralStore, openCollateralStore } from "./collect/store.ts";
export { der } from "./der.ts";
export { dstackAttester, dstackGpuInfo, dstackSocket, modelEvent } from "./dstack.ts";
export { type NitridingOptions, nitridingAttester } from "./nitriding.ts";
export {
  makeNitroAuthority,
  makeNitroRoot,
  type NitroAuthority,
  type NitroContent,
  type NitroFlaws,
  type NitroSigner,
  signNitroDocument,
} from "./nitro-document.ts";
export { type NsmDevice, nsmAttester, nsmCalls, openNsmHelper } from "./nsm.ts";
export {
  askLauncher,
  type LauncherRequest,
  launcherRequestShape,
  mostLineBytes,
  simulatedAttester,
} from "./simulated.ts";
