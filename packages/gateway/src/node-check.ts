import { CountersignError, type EndpointPath, type ErrorCode, toBase64 } from "@countersign/core";
import { bearer } from "./catalogue.ts";
import { nodeError } from "./node-run.ts";
import { readBounded } from "./read-bounded.ts";

/** A request and the deployment that would run it. */
export type NodeQuestion = { readonly path: EndpointPath; readonly body: Uint8Array; readonly deployment: string };

/**
 * Asks a node whether it would take a request, before anybody is asked to pay for it.
 *
 * @throws what the node would refuse the run with; NODE_UNREACHABLE where it does not answer
 */
export type CheckOnNode = (nodeUrl: string, question: NodeQuestion) => Promise<void>;

/** What a node can say of a request that nothing was signed for. */
const sayable: ReadonlySet<string> = new Set<ErrorCode>([
  "REQUEST_MALFORMED",
  "REQUEST_NOT_CANONICAL",
  "REQUEST_FIELD_INVALID",
  "REQUEST_TOO_LARGE",
  "PARAMETER_NOT_SUPPORTED",
  "MODEL_TASK_MISMATCH",
  "CONTEXT_TOO_LONG",
  "INPUT_TOO_LARGE",
  "TENSOR_MALFORMED",
  "TENSOR_NOT_FINITE",
  "TENSOR_SHAPE_MISMATCH",
  "TENSOR_TYPE_UNSUPPORTED",
  // Of a sealed request: whether it is one, and whether it is sealed to this node's keys.
  "CHANNEL_MALFORMED",
  "NODE_NOT_ATTESTED",
  "TEE_CHANNEL_NOT_BOUND",
]);

const unreachable = (why: string, cause?: unknown) =>
  new CountersignError("NODE_UNREACHABLE", {
    message: "The node that would run this request does not answer; nothing was charged.",
    why,
    remedy: "Ask again in a moment.",
    cause,
  });

/** Bytes of an answer that are read. */
const mostBytes = 16_384;

/** `POST /check` over HTTP. A node that does not know the path is not asked: it refuses in the run, unpaid. */
export function checkOverHttp(options: {
  readonly token: string | null;
  /** Milliseconds, 10,000 by default. */
  readonly timeout?: number;
  readonly fetch?: typeof fetch;
}): CheckOnNode {
  const get = options.fetch ?? fetch;
  return async (nodeUrl, { path, body, deployment }) => {
    let status: number;
    let answer: unknown;
    try {
      const response = await get(new URL("/check", nodeUrl), {
        method: "POST",
        headers: { "content-type": "application/json", ...bearer(options.token) },
        body: JSON.stringify({ path, body: toBase64(body), deployment }),
        redirect: "error",
        signal: AbortSignal.timeout(options.timeout ?? 10_000),
      });
      status = response.status;
      if (status === 200) {
        await response.body?.cancel();
        return;
      }
      answer = JSON.parse(Buffer.from(await readBounded(response, mostBytes)).toString("utf8"));
    } catch (cause) {
      throw unreachable("It gave no answer that can be read.", cause);
    }
    const { error } = (answer ?? {}) as { readonly error?: { readonly code?: unknown } };
    if (status === 404 && error?.code === "ENDPOINT_UNKNOWN") return;
    if (typeof error?.code === "string" && sayable.has(error.code)) throw nodeError(error);
    throw unreachable(`It answered ${status}.`);
  };
}
