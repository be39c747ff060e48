import {
  CountersignError,
  type EndpointPath,
  endpointPaths,
  endpoints,
  fromBase64,
  name,
  parseRequest,
} from "@countersign/core";
import * as z from "zod";
import { readTask } from "./read-task.ts";
import type { ChannelKey } from "./sealed/channel-key.ts";
import { readSealed, refuseSealed, requireOwnKey } from "./sealed/read-sealed.ts";
import type { Served } from "./served.ts";

const questionShape = z.strictObject({ path: z.enum(endpointPaths), body: z.string(), deployment: name });

/**
 * Says whether a request would be taken, before anybody signs a payment for it: the reading that a run begins with, and
 * nothing of the run.
 *
 * Passing is no promise: whether a text fits into the context, only its tokens say.
 *
 * @param input `{path, body: base64, deployment: id}` as received
 * @throws REQUEST_MALFORMED, MODEL_UNKNOWN, MODEL_MISMATCH, MODEL_TASK_MISMATCH, NODE_NOT_ATTESTED, TEE_CHANNEL_NOT_BOUND,
 *   CHANNEL_MALFORMED, and what `readTask` throws
 */
export function checkRequest(
  input: unknown,
  { served, channel }: { readonly served: readonly Served[]; readonly channel?: ChannelKey | undefined },
): void {
  const read = questionShape.safeParse(input);
  if (!read.success) {
    throw new CountersignError("REQUEST_MALFORMED", {
      message: "This is not a question about a request.",
      why: z.prettifyError(read.error).split("\n").slice(0, 3).join(" "),
    });
  }
  const { deployment: id } = read.data;
  const path: EndpointPath = read.data.path;
  const found = served.find((s) => s.deployment.id === id);
  if (!found) throw new CountersignError("MODEL_UNKNOWN", { message: `This node has no deployment ${id}.` });
  const body = decode(read.data.body);
  const sealed = readSealed(body);
  // Nobody has paid, and nobody says for whom it was sealed: it is not opened, and nothing of its inside is told.
  if (sealed) requireOwnKey(sealed, channel);
  const request = sealed ? { model: sealed.clear.model } : parseRequest(path, body);
  const { model, tasks } = found.deployment;
  if (request.model !== model.id)
    throw new CountersignError("MODEL_MISMATCH", {
      message: `The request asks for ${request.model}, not ${model.id}.`,
    });
  if (!tasks.includes(endpoints[path].task)) {
    throw new CountersignError("MODEL_TASK_MISMATCH", {
      message: `${model.id} does ${tasks.join(", ")}, not ${endpoints[path].task}.`,
      param: "model",
    });
  }
  if (!("value" in request)) return;
  refuseSealed(request.value);
  // What another host takes, that host says.
  if (found.engine.kind !== "upstream") readTask(request, found);
}

function decode(text: string): Uint8Array {
  try {
    return fromBase64(text);
  } catch (cause) {
    throw new CountersignError("REQUEST_MALFORMED", { message: "The body is not canonical base64.", cause });
  }
}
