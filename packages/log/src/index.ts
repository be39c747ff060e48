export type { Check, Failure } from "./check.ts";
export { type Checkpoint, formatCheckpoint, parseCheckpoint } from "./checkpoint.ts";
export { type LogReader, type LogSource, openCheckpoint, openReader, type SignedCheckpoint } from "./client.ts";
export { type ConsistencyClaim, checkConsistency, proveConsistency } from "./consistency.ts";
export { type Cosigner, cosign, cosignatureMessage } from "./cosignature.ts";
export { type FollowStep, followLog, requireConsistent } from "./follow.ts";
export { type FsckFault, type FsckReport, fsckLog } from "./fsck.ts";
export { checkInclusion, proveInclusion, type ReadNodes } from "./inclusion.ts";
export {
  checkNote,
  formatNote,
  formatSignatureLine,
  mergeNotes,
  type Note,
  type NoteSignature,
  type NoteSigner,
  parseNote,
  type SignedBy,
  signNote,
} from "./note.ts";
export {
  evaluateQuorum,
  type PolicyLog,
  type PolicyWitness,
  parsePolicy,
  type Quorum,
  type QuorumState,
  type TlogPolicy,
  type WitnessPolicy,
} from "./policy.ts";
export { checkTlogProof, formatTlogProof, parseTlogProof, type TlogProof, type TlogProofCheck } from "./proof.ts";
export { buildSortedSet, type SetKind, type SetLeaf, type SetProof, type SortedSet } from "./sorted-set.ts";
export { checkSetProof, decodeSetProof, encodeSetProof, type SetCheck } from "./sorted-set-proof.ts";
export { checkSplitView, type SplitView } from "./split-view.ts";
export { layOutLog, type StaticLog } from "./static-log.ts";
export {
  decodeBundle,
  decodeTile,
  encodeBundle,
  maxEntryBytes,
  parseTilePath,
  type TileAddress,
  tileAt,
  tilePath,
  tileWidth,
} from "./tile.ts";
export { type FetchTile, readFromTiles } from "./tile-reader.ts";
export { emptyRoot, Frontier, hashLeaf, hashNode, type Node, type Sha256, treeRoot } from "./tree.ts";
export { formatVkey, isKeyName, type KeyUse, parseVkey, type VerifierKey, verifierKey } from "./vkey.ts";
