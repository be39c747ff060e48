import type { EndpointPath } from "../request.ts";
import { chat } from "./chat.ts";
import { completions } from "./completions.ts";
import { embeddings } from "./embeddings.ts";
import { infer } from "./infer.ts";
import type { Renderer } from "./rendering.ts";
import { responses } from "./responses.ts";

/** How each endpoint writes an answer. */
export const renderers: Readonly<Record<EndpointPath, Renderer>> = {
  "/v1/chat/completions": chat,
  "/v1/completions": completions,
  "/v1/responses": responses,
  "/v1/embeddings": embeddings,
  "/v1/infer": infer,
};
