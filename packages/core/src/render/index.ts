// How answers are written for OpenAI's clients: by a gateway, or by the measured code that seals what it writes.
export { readStream } from "./read-stream.ts";
export { renderers } from "./renderers.ts";
export {
  type Answer,
  type AnswerHead,
  type Delta,
  type Renderer,
  type StreamRendering,
  withField,
} from "./rendering.ts";
