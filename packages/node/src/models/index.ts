export { findOnnxModel, findTask, onnxModels } from "./catalogue.ts";
export { embeddingModel } from "./embedding.ts";
export {
  type FetchOptions,
  type FetchStep,
  fetchWeights,
  type RunProgram,
  weightsPath,
} from "./fetch-weights.ts";
export {
  type GuardModel,
  type GuardWeights,
  guardFeatures,
  injectionGuard,
  jailbreakGuard,
  maliceGuard,
} from "./guard.ts";
export { type LanguageWeights, languageFeatures, languageModel, readLanguageWeights } from "./language.ts";
export { orientationModel, recognitionModel } from "./ocr.ts";
export { detectionModel } from "./ocr-detection.ts";
export { type Attribute, type OnnxGraph, type OnnxNode, writeOnnx } from "./onnx.ts";
export { smollm2, type WeightsSource } from "./smollm2.ts";
export { checkDigest, type FriendlyTask, type OnnxModelSource, type PackageFile, readModel } from "./source.ts";
export {
  asFloat32,
  checkTensors,
  type ElementType,
  elementSizes,
  fitTensors,
  isElementType,
  maxTensorBytes,
  type NamedTensor,
  type NamedTensors,
  pickTensor,
  type TensorSpec,
  tensorBytes,
  tensorOf,
} from "./tensor.ts";
export { formatTensors, parseTensors } from "./tensor-wire.ts";
export { voiceModel, voiceStepModel } from "./voice.ts";
