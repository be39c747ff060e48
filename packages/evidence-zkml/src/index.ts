export {
  type CheckRequest,
  check,
  checkRegistration,
  inputRoot,
  type KnownWeights,
  mostLinks,
  type ProofReport,
} from "./check.ts";
export {
  type Circuit,
  type CircuitOptions,
  compile,
  digestCircuit,
  encodeCircuit,
  type InputMode,
  inputOpenings,
  type Level,
  type WeightMode,
} from "./circuit/compile.ts";
export type { Soundness, Term } from "./circuit/soundness.ts";
export {
  commit,
  commitInput,
  type HiddenOpening,
  type InputCommitment,
  type Link,
  link,
  type Opening,
  openWeights,
  type ProveRequest,
  prove,
  register,
  reopen,
  reopenInput,
} from "./make.ts";
export {
  boundOf,
  checkModel,
  checkShape,
  type DenseShape,
  type LayerShape,
  type LayerWeights,
  type ModelShape,
  type QuantModel,
  requantise,
  run,
  type Trace,
} from "./model.ts";
export { type CounterOf, countInMemory, type OpeningCounter } from "./opening-counter.ts";
export { bitsOfReport, soundnessOfRegistration } from "./protocol/levels.ts";
export { digestWeights } from "./protocol/prover.ts";
