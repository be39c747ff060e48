export {
  type Assurance,
  type Attestation,
  type AttestationFormat,
  assurances,
  attestationBytes,
  attestationEvidenceFormat,
  attestationFormats,
  attestationMediaType,
  attestationShape,
  type CollateralKind,
  type Custody,
  collateralKinds,
  custodyClasses,
  measurementId,
  readAttestation,
} from "./attestation.ts";
export * from "./bytes.ts";
export { canonicalBytes, parseCanonical } from "./canonical.ts";
export type { Comparison, EvidenceChecker, EvidenceContext, EvidenceReport, InLog } from "./checker.ts";
export { type Check, type Claim, claims, type Finding, type Ground, grounds } from "./claim.ts";
export { type Commitment, type Content, type Contents, commit } from "./commit.ts";
export { coverResponse, requireCovered, requireCoveredChunk } from "./delivered/coverage.ts";
export { type DeliveredEvent, readEvent, readEvents } from "./delivered/events.ts";
export { ResponseEvents } from "./delivered/response-events.ts";
export {
  type Deployment,
  deploymentDigest,
  deploymentShape,
  deploymentType,
  readDeployment,
  signDeployment,
  type Task,
  tasks,
} from "./deployment.ts";
export {
  bucket,
  decodeEntry,
  type Entry,
  type EntryFlag,
  type EntryKind,
  encodeEntry,
  entryFlags,
  entryKinds,
  entrySize,
  noDigest,
} from "./entry.ts";
export {
  type Envelope,
  envelopeDigest,
  envelopeShape,
  type InToto,
  isSignedBy,
  payloadType,
  preAuthentication,
  readStatement,
  signStatement,
} from "./envelope.ts";
export { CountersignError, type ErrorDetail, toEnvelope } from "./errors/error.ts";
export { type ErrorCode, errorTable } from "./errors/table.ts";
export {
  type Evidence,
  type EvidenceKind,
  evidenceKinds,
  evidenceType,
  readEvidence,
  signEvidence,
} from "./evidence.ts";
export {
  absent,
  elementLeaves,
  type Field,
  type FieldValue,
  fieldLeaf,
  fieldNode,
  fieldPath,
  fieldSalt,
  fields,
  fromHexList,
  listRoot,
  plain,
  type Roots,
  rootsOf,
} from "./field.ts";
export { hmacSha256, keccak256, sha256, sha256Hex, taggedHash } from "./hash.ts";
export {
  isObject,
  type Json,
  type JsonObject,
  parseJson,
  parseJsonBytes,
  parseObjectWithSlices,
  type Slices,
} from "./json.ts";
export {
  gpuNonce,
  type Keyset,
  type KeyUse,
  keyFor,
  keysetBinding,
  keysetDigest,
  keysetShape,
  longestKeyset,
} from "./keyset.ts";
export {
  leafBytes,
  type ModelLeaf,
  modelInputShape,
  modelLeafShape,
  type OfferLeaf,
  offerLeafShape,
  type ProfileLeaf,
  profileLeafShape,
  resultLeafShape,
  tokensShape,
} from "./leaves.ts";
export {
  type Measurement,
  measurementShape,
  measurementType,
  readMeasurement,
  signMeasurement,
} from "./measurement.ts";
export {
  type Offer,
  offerDigest,
  offerShape,
  offerType,
  readOffer,
  requestDigest,
  requestTag,
  signOffer,
} from "./offer.ts";
export {
  type DeliveredAnswer,
  eventData,
  type Output,
  outputBytes,
  outputElements,
  outputIndex,
  readAnswer,
  readDelivered,
  readOutput,
  readOutputs,
  StreamedOutputs,
  type ToolCall,
  tokensBytes,
} from "./output.ts";
export {
  type Authorization,
  addressOf,
  authorizationDigest,
  authorizationShape,
  domainSeparator,
  type Payment,
  paymentNonce,
  paymentShape,
  recoverAddress,
  splitSignature,
  type TokenDomain,
} from "./payment.ts";
export {
  judgedPolicy,
  levelBits,
  maskOf,
  masksOf,
  originBit,
  refuseConflict,
  tighten,
  tightenDemand,
  tightenRelease,
  ways,
} from "./policy/combine.ts";
export { type DemandSources, demandBytes, readDemand } from "./policy/demand.ts";
export {
  type Demand,
  factsSuffice,
  isAll,
  isAny,
  type Policy,
  type Release,
  type Requirement,
  releases,
} from "./policy/policy.ts";
export { levels, type Preset, presets } from "./policy/preset.ts";
export { describePolicy, normalise, parsePolicy, printPolicy } from "./policy/text.ts";
export {
  type Opened,
  type Opening,
  openedBytes,
  openFields,
  parseReceipt,
  type Receipt,
  type ReceiptSnapshot,
  receiptFormat,
  receiptShape,
} from "./receipt.ts";
export { type Registration, readRegistration, registrationType, signRegistration } from "./registration.ts";
export {
  choiceSeed,
  deriveSeed,
  type EndpointPath,
  endpointPaths,
  endpoints,
  type Param,
  type ParsedRequest,
  paramsBytes,
  parseRequest,
  systemText,
} from "./request.ts";
export {
  type Job,
  jobShape,
  type NodeDescription,
  type RunEvent,
  type RunResult,
  type TokenLogprob,
  type Usage,
} from "./run.ts";
export { address, amount, hex32, milliseconds, name, network, printableName, seconds } from "./shapes.ts";
export {
  type EcdsaCheck,
  isSoundKey,
  portableSuite,
  type RsaCheck,
  rememberingSuite,
  type Signer,
  type Suite,
} from "./signature.ts";
export { readSnapshot, type Snapshot, signSnapshot, snapshotType } from "./snapshot.ts";
export {
  type Delivery,
  deliveryType,
  readDelivery,
  readRun,
  type Statement,
  signDelivery,
  signRun,
  statementType,
} from "./statement.ts";
export { noTrust, parseTrust, type Trust, type TrustedHardware, trustShape } from "./trust.ts";
export type { Standing, Verdict } from "./verdict.ts";
