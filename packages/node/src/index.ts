export { type CheckedJob, checkJob, type JobRules } from "./check-job.ts";
export {
  type DeploymentConfig,
  type NodeConfig,
  type NodeSecrets,
  nodeConfigShape,
  parseNodeConfig,
  readNodeConfig,
  readNodeSecrets,
} from "./config.ts";
export { type DefaultModel, defaultModels, ownModels, registerModel } from "./default-models.ts";
export { type DeployContext, defaultPrices, deploy } from "./deploy.ts";
export { findIsolation, type Isolation, type Tier } from "./enclave/sandbox.ts";
export { defaultEngineLimits, type EngineLimits, Engines } from "./engines/engines.ts";
export { chooseToken, draw, logprobText } from "./engines/sample.ts";
export type { Delta, Execute, Execution } from "./execution.ts";
export * from "./models/index.ts";
export { probeEngines } from "./probe.ts";
export { type Difference, type ProfileDifference, type Replay, type ReplayRequest, replayReceipt } from "./replay.ts";
export { execute, type NodeContext, run, systemRandom, toErrorEvent } from "./run.ts";
export { type SealContext, sealRun } from "./seal.ts";
export type { ChannelKey } from "./sealed/channel-key.ts";
export { describeNode, type NodeFacts, nodeApp, type RunningNode, serveNode, startNode } from "./serve.ts";
export type { EngineSpec, LlamaSpec, OnnxSpec, Served, UpstreamSpec } from "./served.ts";
export { RequestTags } from "./tags.ts";
