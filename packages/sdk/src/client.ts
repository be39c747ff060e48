import {
  CountersignError,
  type EndpointPath,
  type Hex,
  isObject,
  type Json,
  type JsonObject,
  type Policy,
  printPolicy,
  type Receipt,
  utf8,
  type Verdict,
} from "@countersign/core";
import type { Delivered } from "@countersign/verify";
import type { Spending } from "./budget.ts";
import { makeFetch } from "./drop-in.ts";
import { exchange } from "./exchange.ts";
import { readBytes, readError, readObject, send } from "./http.ts";
import { type Judged, type PaymentReport, tryReceipt } from "./judgement.ts";
import type { ReceiptStore } from "./receipt-store.ts";
import { type Refreshed, refresh, verifyReceipt, waitFor } from "./refresh.ts";
import { type CallOptions, callOptionNames, prepareRequest } from "./request.ts";
import { type Options, readOptions, readPolicy, refuseUnknown, requireTrust, type Settings } from "./settings.ts";
import { readTensors, readVector, type Tensor, type TensorInput, writeTensors } from "./tensors.ts";

/** An answer that was checked, with the receipt that shows it. */
export type Answer = Judged & {
  /** The whole body, in the endpoint's form. */
  readonly body: JsonObject;
};
/** An answer in words. */
export type TextAnswer = Answer & {
  /** Text of the first choice; null when it is all tool calls. */
  readonly text: string | null;
  /** The first choice's message. */
  readonly message: JsonObject;
};

/** Body of a request, or its messages with the model in the options. */
export type ChatInput = JsonObject | readonly JsonObject[];
export type ChatOptions = CallOptions & { readonly model?: string };

/** Events of a stream. Under `live` they come before the verdict and iterating throws at the end if it is not met. */
export type ChunkStream = AsyncIterable<JsonObject> & {
  /** What the whole answer stood on; settles when the events were read to their end. */
  readonly judged: Promise<Judged>;
};

/** A client that pays within its budget and checks every answer before it is read. */
export type Client = {
  /** `/v1/chat/completions`. */
  readonly chat: (input: ChatInput, options?: ChatOptions) => Promise<TextAnswer>;
  /** `/v1/chat/completions` as events. */
  readonly stream: (input: ChatInput, options?: ChatOptions) => Promise<ChunkStream>;
  /** `/v1/completions`. */
  readonly complete: (body: JsonObject, options?: CallOptions) => Promise<TextAnswer>;
  /** `/v1/embeddings`. */
  readonly embed: (
    body: JsonObject,
    options?: CallOptions,
  ) => Promise<Answer & { readonly vectors: readonly (readonly number[])[] }>;
  /** `/v1/infer`: any model on named tensors. */
  readonly infer: (
    model: string,
    tensors: Readonly<Record<string, TensorInput>>,
    options?: CallOptions,
  ) => Promise<Answer & { readonly outputs: Readonly<Record<string, Tensor>> }>;
  /** Judges a receipt with this client's trust; says what was found, throws only for a policy that cannot be read. */
  readonly verify: (receipt: unknown, delivered?: Delivered, policy?: string | Policy) => Verdict;
  /** What the gateway says that it serves. Nothing of it is checked: receipts are. */
  readonly models: () => Promise<readonly JsonObject[]>;
  readonly refresh: (receipt: Receipt | Hex) => Promise<Refreshed>;
  readonly waitFor: (receipt: Receipt | Hex, milliseconds?: number) => Promise<Refreshed>;
  /** For OpenAI clients: `new OpenAI({ baseURL, apiKey: "unused", fetch: client.fetch })`. */
  readonly fetch: typeof fetch;
  readonly receipts: ReceiptStore;
  readonly spending: () => Spending;
};

const encode = (body: JsonObject) => utf8(JSON.stringify(body)) as Uint8Array<ArrayBuffer>;

async function ask(settings: Settings, path: EndpointPath, body: JsonObject, options: CallOptions): Promise<Answer> {
  requireTrust(settings);
  if (body.stream === true) {
    throw new CountersignError("OPTION_UNKNOWN", {
      message: "This call gives one whole answer; `stream` has no meaning in it.",
      remedy: "Use client.stream(), or client.fetch with an OpenAI client.",
      param: "stream",
    });
  }
  const answer = await exchange(settings, prepareRequest(settings, path, encode(body), options));
  if (answer.kind !== "json")
    throw new CountersignError("STREAM_MALFORMED", { message: "The answer is not one object." });
  return { body: answer.body, ...answer.judged };
}

function readInput(input: ChatInput, { model, ...options }: ChatOptions): { body: JsonObject; options: CallOptions } {
  refuseUnknown(options, callOptionNames, "The call");
  const body: JsonObject = Array.isArray(input) ? { messages: input as readonly Json[] } : (input as JsonObject);
  if (model === undefined) return { body, options };
  if (body.model !== undefined) {
    throw new CountersignError("OPTION_UNKNOWN", {
      message: "The model stands in the body and in the options.",
      param: "model",
    });
  }
  return { body: { model, ...body }, options };
}

const firstChoice = (body: JsonObject): JsonObject => {
  const [choice] = Array.isArray(body.choices) ? (body.choices as readonly Json[]) : [];
  return isObject(choice) ? choice : {};
};

async function stream(settings: Settings, body: JsonObject, options: CallOptions): Promise<ChunkStream> {
  requireTrust(settings);
  const prepared = prepareRequest(settings, "/v1/chat/completions", encode({ ...body, stream: true }), options);
  const answer = await exchange(settings, prepared);
  if (answer.kind !== "events")
    throw new CountersignError("STREAM_MALFORMED", { message: "The answer is not events." });
  let resolve: (judged: Judged) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<Judged>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Whoever only reads the events learns of a failure there.
  promise.catch(() => undefined);
  async function* chunks(events: AsyncIterable<{ value: JsonObject | "done" }>): AsyncGenerator<JsonObject> {
    try {
      for await (const { value } of events) {
        if (value === "done") continue;
        const { countersign } = value;
        if (isObject(countersign)) {
          const { receipt, verdict, payment } = countersign as unknown as {
            receipt: unknown;
            verdict: Verdict;
            payment: PaymentReport | null;
          };
          resolve({ receipt: tryReceipt(receipt) as Receipt, verdict, payment });
        }
        yield value;
      }
    } catch (error) {
      reject(error);
      throw error;
    }
  }
  return Object.assign(chunks(answer.events), { judged: promise });
}

/**
 * A client of a Countersign gateway: pays within its budget, verifies by default, hands on nothing unchecked.
 *
 * @throws OPTION_UNKNOWN, CONFIG_INVALID, TRUST_MALFORMED, POLICY_MALFORMED
 * @example
 * const client = countersign({ gateway, trust, wallet: privateKeyWallet(key), budget: { perRequest: 10_000, total: 1_000_000 } });
 * const { text, verdict, receipt } = await client.chat([{ role: "user", content: "Hello" }], { model: "pocket" });
 */
export function countersign(options: Options): Client {
  const settings = readOptions(options);
  return {
    async chat(input, given = {}) {
      const { body, options } = readInput(input, given);
      const answer = await ask(settings, "/v1/chat/completions", body, options);
      const { message } = firstChoice(answer.body);
      const read = isObject(message) ? message : {};
      return { ...answer, message: read, text: typeof read.content === "string" ? read.content : null };
    },
    stream(input, given = {}) {
      const { body, options } = readInput(input, given);
      return stream(settings, body, options);
    },
    async complete(body, options = {}) {
      const answer = await ask(settings, "/v1/completions", body, options);
      const choice = firstChoice(answer.body);
      return { ...answer, message: choice, text: typeof choice.text === "string" ? choice.text : null };
    },
    async embed(body, options = {}) {
      const answer = await ask(settings, "/v1/embeddings", body, options);
      const data = Array.isArray(answer.body.data) ? (answer.body.data as readonly Json[]) : [];
      return { ...answer, vectors: data.map((d) => readVector(isObject(d) ? d.embedding : undefined)) };
    },
    async infer(model, tensors, options = {}) {
      const answer = await ask(settings, "/v1/infer", { model, inputs: writeTensors(tensors) }, options);
      return { ...answer, outputs: readTensors(answer.body.outputs) };
    },
    verify: (receipt, delivered, policy) =>
      verifyReceipt(settings, receipt, delivered, policy === undefined ? undefined : printPolicy(readPolicy(policy))),
    async models() {
      const response = await send(settings, "/v1/models", { method: "GET" });
      if (!response.ok) throw await readError(response);
      const { data } = readObject(await readBytes(response));
      return Array.isArray(data) ? (data as readonly Json[]).filter(isObject) : [];
    },
    refresh: (receipt) => refresh(settings, receipt),
    waitFor: (receipt, milliseconds = 60_000) => waitFor(settings, receipt, milliseconds),
    fetch: makeFetch(settings),
    receipts: settings.receipts,
    spending: () => settings.ledger.state(),
  };
}
