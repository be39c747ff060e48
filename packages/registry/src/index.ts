export {
  addModel,
  type FileCheck,
  filePath,
  listModels,
  pullModel,
  type SourceFile,
  showModel,
  verifyModel,
} from "./catalogue.ts";
export {
  advanceDeployment,
  type DeploymentFacts,
  deploymentsOf,
  listDeployments,
  nextDeployment,
} from "./deployments.ts";
export {
  chunkSize,
  type FileHash,
  type HeldFile,
  hashBytes,
  hashChunk,
  hashFile,
  holdVerified,
  loadVerified,
  type Progress,
} from "./files.ts";
export {
  type Manifest,
  type ManifestFile,
  type ModelFacts,
  makeManifest,
  manifestType,
  modelDigest,
  type ReadManifest,
  readManifest,
  signManifest,
  subjectDigest,
  toSigstoreBundle,
  verifyManifest,
} from "./manifest.ts";
