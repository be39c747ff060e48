import { CountersignError, toEnvelope } from "@countersign/core";
import { writeFrame } from "./event-stream.ts";
import { type Exchanged, exchange } from "./exchange.ts";
import { send } from "./http.ts";
import { receiptIdOf } from "./judgement.ts";
import { prepareRequest, readEndpoint } from "./request.ts";
import { requireTrust, type Settings } from "./settings.ts";
import { isAfterPayment } from "./unmet.ts";

/** Statuses that no common client retries by itself. */
const calm: ReadonlySet<number> = new Set([400, 401, 402, 403, 404, 405, 413]);

/**
 * An error as the HTTP answer that OpenAI clients turn into their own exceptions, `code` included.
 *
 * Clients retry 409, 422 or 5xx up to seven times, and every retry of a paid call pays again. So only what was not paid
 * and may pass by itself keeps a status that is retried; the true status is in the body.
 */
export function errorResponse(error: CountersignError): Response {
  const { status, body } = toEnvelope(error);
  const passing = !isAfterPayment(error) && (status === 429 || status === 503);
  const told = passing || calm.has(status) ? status : 403;
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (!passing) headers["x-should-retry"] = "false";
  return new Response(JSON.stringify({ error: { ...body.error, status } }), { status: told, headers });
}

function toResponse(answer: Exchanged): Response {
  if (answer.kind === "json") {
    const { receipt, verdict } = answer.judged;
    const id = receiptIdOf(receipt);
    return new Response(JSON.stringify(answer.body), {
      headers: {
        "content-type": "application/json",
        "x-countersign-verdict": verdict.outcome,
        ...(id && { "x-countersign-receipt": id }),
      },
    });
  }
  const iterator = answer.events[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(writeFrame(value)));
    },
    async cancel() {
      await iterator.return?.();
    },
  });
  const id = answer.receiptId;
  return new Response(stream, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      ...(id && { "x-countersign-receipt": id }),
    },
  });
}

/** The path below the gateway of an address that a client was configured with. @throws ENDPOINT_UNKNOWN */
function pathOf(settings: Settings, url: string): string {
  if (!url.startsWith(`${settings.gateway}/`)) {
    throw new CountersignError("ENDPOINT_UNKNOWN", {
      message: `${url} is not below this client's gateway, ${settings.gateway}; nothing was sent.`,
      remedy: `Configure the client with the address ${settings.gateway}/v1.`,
    });
  }
  return url.slice(settings.gateway.length);
}

/** Headers of ours that a caller may set on a single request. */
const ownHeaders = ["x-verification", "x-countersign-synthetic"];

function readHeaders(headers: Headers): { readonly said: readonly string[]; readonly synthetic: boolean } {
  for (const name of headers.keys()) {
    if (name.startsWith("x-countersign-") && !ownHeaders.includes(name)) {
      throw new CountersignError("OPTION_UNKNOWN", {
        message: `The header ${name} is not for callers to set.`,
        param: name,
      });
    }
  }
  const said = headers.get("x-verification");
  return { said: said === null ? [] : [said], synthetic: headers.get("x-countersign-synthetic") === "1" };
}

/**
 * `fetch` for OpenAI clients: the same answers and errors, but every answer is paid within budget and checked before
 * the client can read it.
 *
 * API keys and other headers are not passed on. What is not an inference is passed through only where it is a GET of
 * the gateway's own `/v1`.
 */
export function makeFetch(settings: Settings): typeof fetch {
  const run = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = input instanceof Request ? new Request(input, init) : undefined;
    const url = request?.url ?? String(input);
    const method = (request?.method ?? init?.method ?? "GET").toUpperCase();
    const signal = init?.signal ?? request?.signal ?? undefined;
    const path = pathOf(settings, url);
    if (method === "GET") {
      return await send(settings, path, { method, ...(signal && { signal }) });
    }
    if (method !== "POST") {
      throw new CountersignError("METHOD_NOT_ALLOWED", {
        message: `${method} ${path} is nothing that this client does.`,
      });
    }
    const endpoint = readEndpoint(path);
    requireTrust(settings);
    const body = new Uint8Array(await (request ?? new Response(init?.body ?? null)).arrayBuffer());
    const { said, synthetic } = readHeaders(new Headers(request?.headers ?? init?.headers));
    const call = { ...(signal && { signal }), ...(synthetic && { synthetic }) };
    return toResponse(await exchange(settings, prepareRequest(settings, endpoint, body, call, said)));
  };
  return async (input, init) => {
    try {
      return await run(input, init);
    } catch (error) {
      if (CountersignError.is(error)) return errorResponse(error);
      throw error;
    }
  };
}
