import { embeddingModel } from "./embedding.ts";
import { injectionGuard, jailbreakGuard, maliceGuard } from "./guard.ts";
import { languageModel } from "./language.ts";
import { orientationModel, recognitionModel } from "./ocr.ts";
import { detectionModel } from "./ocr-detection.ts";
import type { OnnxModelSource } from "./source.ts";
import { voiceModel, voiceStepModel } from "./voice.ts";

/** The real ONNX models that an installation has without fetching anything. */
export const onnxModels: readonly OnnxModelSource[] = [
  recognitionModel,
  detectionModel,
  orientationModel,
  voiceStepModel,
  voiceModel,
  languageModel,
  injectionGuard.source,
  jailbreakGuard.source,
  maliceGuard.source,
  embeddingModel,
];

/** The model of that id, if there is one. */
export const findOnnxModel = (id: string): OnnxModelSource | undefined => onnxModels.find((m) => m.id === id);

/** The model behind a friendly path, if there is one. */
export const findTask = (path: string): OnnxModelSource | undefined => onnxModels.find((m) => m.task?.path === path);
