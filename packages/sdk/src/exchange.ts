import {
  CountersignError,
  isObject,
  type JsonObject,
  ResponseEvents,
  requireCovered,
  requireCoveredChunk,
  utf8,
} from "@countersign/core";
import { type Frame, readFrames, signedPart, writeFrame } from "./event-stream.ts";
import { errorOf, readBytes, readError, readObject, send } from "./http.ts";
import { conclude, handedOn, type Judged } from "./judgement.ts";
import { type Accepted, pay } from "./pay.ts";
import { type PaymentRequired, readPaymentRequired } from "./payment-required.ts";
import type { Prepared } from "./request.ts";
import { requireTrust, type Settings } from "./settings.ts";
import { failPaid } from "./unmet.ts";

/** An answer: one object that was checked, or events, which under `live` are checked when they end. */
export type Exchanged =
  | { readonly kind: "json"; readonly body: JsonObject; readonly judged: Judged }
  | { readonly kind: "events"; readonly events: AsyncIterable<Frame>; readonly receiptId: string | undefined };

/**
 * One inference, whole: send, pay if asked, read strictly, check, and only then hand on.
 *
 * @throws every refusal as a CountersignError; under `met` and `signed` nothing of the content is reachable before
 */
export async function exchange(settings: Settings, prepared: Prepared): Promise<Exchanged> {
  requireTrust(settings);
  const first = await post(settings, prepared, {});
  if (first.ok) return readAnswer(settings, prepared, undefined, first);
  const required = await readRequired(first);
  const accepted = await pay(settings, required, prepared);
  try {
    const response = await postPaid(settings, prepared, accepted);
    if (!response.ok) throw await readError(response);
    return await readAnswer(settings, prepared, accepted, response);
  } catch (error) {
    throw await failPaid(settings, accepted, error);
  }
}

function post(settings: Settings, prepared: Prepared, more: Readonly<Record<string, string>>): Promise<Response> {
  const { path, headers, body, signal } = prepared;
  return send(settings, path, { method: "POST", headers: { ...headers, ...more }, body, ...(signal && { signal }) });
}

/** Sends the payment; once more if the connection fails: the same bytes under the same payment are never charged twice. */
async function postPaid(settings: Settings, prepared: Prepared, accepted: Accepted): Promise<Response> {
  const header = { "payment-signature": accepted.header };
  try {
    return await post(settings, prepared, header);
  } catch (error) {
    if (!CountersignError.is(error, "GATEWAY_UNREACHABLE")) throw error;
    return post(settings, prepared, header);
  }
}

/** The terms of a 402; any other failure is thrown as what it is. */
async function readRequired(response: Response): Promise<PaymentRequired> {
  if (response.status !== 402) throw await readError(response);
  const body = readObject(await readBytes(response));
  const code = isObject(body.error) ? body.error.code : undefined;
  if (code !== undefined && code !== "PAYMENT_REQUIRED") throw errorOf(body.error, response.status);
  return readPaymentRequired(response.headers.get("payment-required"), body);
}

async function readAnswer(
  settings: Settings,
  prepared: Prepared,
  accepted: Accepted | undefined,
  response: Response,
): Promise<Exchanged> {
  const type = (response.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  const wanted = prepared.stream ? "text/event-stream" : "application/json";
  if (type !== wanted) {
    throw new CountersignError("STREAM_MALFORMED", {
      message: `The answer is ${type || "of no type"}; asked was ${wanted}.`,
    });
  }
  if (!prepared.stream) return readWhole(settings, prepared, accepted, response);
  const receiptId = response.headers.get("x-countersign-receipt") ?? undefined;
  const frames = checkFrames(settings, prepared, accepted, response);
  if (prepared.demand.release === "live")
    return { kind: "events", events: guard(settings, accepted, frames), receiptId };
  // Held: everything is read and checked before the first event can be seen.
  const held: Frame[] = [];
  for await (const frame of frames) held.push(frame);
  return { kind: "events", events: replay(held), receiptId };
}

async function* replay(frames: readonly Frame[]): AsyncGenerator<Frame> {
  yield* frames;
}

async function readWhole(
  settings: Settings,
  prepared: Prepared,
  accepted: Accepted | undefined,
  response: Response,
): Promise<Exchanged> {
  const bytes = await readBytes(response);
  const body = readObject(bytes);
  const { receipt, payment } = isObject(body.countersign) ? body.countersign : ({} as JsonObject);
  requireCovered(prepared.path, body);
  const judged = await conclude(settings, prepared, accepted, { receipt, payment, body: bytes });
  return { kind: "json", body: { ...body, countersign: handedOn(judged) }, judged };
}

/** Whether an event starts or carries a tool call: agents act on those, so they are held to the end even under `live`. */
function isToolCall(value: Frame["value"]): boolean {
  if (value === "done") return false;
  if (isObject(value.item) && value.item.type === "function_call") return true;
  if (typeof value.type === "string" && value.type.startsWith("response.function_call")) return true;
  return (
    Array.isArray(value.choices) &&
    value.choices.some(
      (c) => isObject(c) && isObject(c.delta) && Array.isArray(c.delta.tool_calls) && c.delta.tool_calls.length > 0,
    )
  );
}

/**
 * Events as they come, each covered by the receipt to come; the signed one and `[DONE]` only after the verdict, and so
 * everything from the first tool call on.
 */
async function* checkFrames(
  settings: Settings,
  prepared: Prepared,
  accepted: Accepted | undefined,
  response: Response,
): AsyncGenerator<Frame> {
  const { path } = prepared;
  const events = path === "/v1/responses" ? new ResponseEvents() : undefined;
  const held: Frame[] = [];
  const parts: string[] = [];
  let signed: JsonObject | undefined;
  for await (const frame of readFrames(path, response)) {
    parts.push(writeFrame(frame));
    if (frame.value !== "done") {
      if (events) events.add(frame.value);
      else requireCoveredChunk(path, frame.value);
      signed ??= signedPart(path, frame.value);
    }
    if (held.length > 0 || signed || isToolCall(frame.value)) held.push(frame);
    else yield frame;
  }
  const judged = await conclude(settings, prepared, accepted, {
    receipt: signed?.receipt,
    payment: signed?.payment,
    body: utf8(parts.join("")),
  });
  for (const frame of held) yield withVerdict(prepared, frame, judged);
}

/** Puts our own verdict in the place of the gateway's opinion. */
function withVerdict({ path }: Prepared, frame: Frame, judged: Judged): Frame {
  if (frame.value === "done" || !signedPart(path, frame.value)) return frame;
  const countersign = handedOn(judged);
  const { response } = frame.value;
  if (path === "/v1/responses" && isObject(response))
    return { ...frame, value: { ...frame.value, response: { ...response, countersign } } };
  return { ...frame, value: { ...frame.value, countersign } };
}

/** Under `live` failures come after `exchange` has returned: they end the events. */
async function* guard(
  settings: Settings,
  accepted: Accepted | undefined,
  frames: AsyncIterable<Frame>,
): AsyncGenerator<Frame> {
  let whole = false;
  try {
    yield* frames;
    whole = true;
  } catch (error) {
    whole = true;
    throw accepted ? await failPaid(settings, accepted, error) : error;
  } finally {
    // Whoever stops listening early still has signed.
    if (!whole) accepted?.hold.keep(accepted.payment.validBefore);
  }
}
