export { type Auditor, startAuditor } from "./auditor.ts";
export { type AuditorConfig, loadConfig, readConfig } from "./config.ts";
export type { SnapshotLists, SnapshotProofs } from "./snapshots.ts";
export { type Contradiction, extendEvidence, type Stats } from "./tally.ts";
