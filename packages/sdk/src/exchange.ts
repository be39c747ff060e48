import {
  CountersignError,
  type Hex,
  isObject,
  type JsonObject,
  ResponseEvents,
  requireCovered,
  requireCoveredChunk,
  utf8,
} from "@countersign/core";
import { type Frame, framesOf, readFrames, signedPart, writeFrame } from "./event-stream.ts";
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
export async function exchange(settings: Settings, asked: Prepared): Promise<Exchanged> {
  requireTrust(settings);
  const { prepared, first } = await begin(settings, asked);
  if (first.ok) return readAnswer(settings, prepared, undefined, first);
  const required = await readRequired(first);
  const accepted = await pay(settings, required, prepared);
  try {
    const response = await postPaid(settings, prepared, accepted);
    if (!response.ok) throw await readError(response);
    return await readAnswer(settings, prepared, accepted, response);
  } catch (error) {
    if (isKeyGone(error)) settings.attested.delete(prepared.model);
    throw await failPaid(settings, accepted, error);
  }
}

/** What a gateway or node says when a request is sealed to keys that are not, or no longer, the enclave's. */
const isKeyGone = (error: unknown): boolean =>
  CountersignError.is(error, "CHANNEL_UNOPENED") || CountersignError.is(error, "TEE_CHANNEL_NOT_BOUND");

/** Sends the request, sealed where it must be; once more, sealed to what the enclave attests now, if its key is another. */
async function begin(settings: Settings, asked: Prepared): Promise<{ prepared: Prepared; first: Response }> {
  if (asked.channel === "clear") return { prepared: asked, first: await post(settings, asked, {}) };
  // Loaded only by who seals.
  const { seal } = await import("./sealed/seal.ts");
  const prepared = await seal(settings, asked);
  const first = await post(settings, prepared, {});
  if (first.ok || first.status === 402) return { prepared, first };
  const error = await readError(first);
  if (!isKeyGone(error)) throw error;
  settings.attested.delete(asked.model);
  const again = await seal(settings, asked);
  return { prepared: again, first: await post(settings, again, {}) };
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
  const frames = checkFrames(settings, prepared, accepted, await openFrames(prepared, response));
  if (prepared.demand.release === "live")
    return { kind: "events", events: guard(settings, accepted, frames), receiptId };
  // Held: everything is read and checked before the first event can be seen.
  const held: Frame[] = [];
  for await (const frame of frames) held.push(frame);
  return { kind: "events", events: replay(held), receiptId };
}

/** A stream's events, opened where they are sealed. */
type Opened = {
  readonly frames: AsyncIterable<Frame>;
  readonly answer?: () => Hex | undefined;
  readonly status: number;
};

async function openFrames(prepared: Prepared, response: Response): Promise<Opened> {
  const { status } = response;
  if (!prepared.sealed) return { frames: framesOf(response), status };
  const { openEvents } = await import("./sealed/answer.ts");
  return { ...openEvents(prepared.sealed, response, holderOf(prepared, response)), status };
}

const holderOf = ({ clientNonce }: Prepared, response: Response) => ({
  receiptId: response.headers.get("x-countersign-receipt") ?? undefined,
  clientNonce,
});

async function* replay(frames: readonly Frame[]): AsyncGenerator<Frame> {
  yield* frames;
}

async function readWhole(
  settings: Settings,
  prepared: Prepared,
  accepted: Accepted | undefined,
  response: Response,
): Promise<Exchanged> {
  const { bytes, answer, signed } = await openBody(prepared, response);
  const body = readObject(bytes);
  const { receipt, payment } = signed ?? (isObject(body.countersign) ? body.countersign : ({} as JsonObject));
  requireCovered(prepared.path, body);
  const judged = await conclude(settings, prepared, accepted, { receipt, payment, body: bytes, answer });
  return { kind: "json", body: { ...body, countersign: handedOn(judged) }, judged };
}

/** An answer's bytes, opened where they are sealed. */
async function openBody(
  prepared: Prepared,
  response: Response,
): Promise<{ readonly bytes: Uint8Array; readonly answer?: Hex; readonly signed?: JsonObject }> {
  const bytes = await readBytes(response);
  if (!prepared.sealed) return { bytes };
  const { openWhole } = await import("./sealed/answer.ts");
  const opened = await openWhole(prepared.sealed, readObject(bytes), holderOf(prepared, response));
  return { bytes: opened.body, answer: opened.answer, signed: opened.countersign };
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
  { frames, answer, status }: Opened,
): AsyncGenerator<Frame> {
  const { path } = prepared;
  const events = path === "/v1/responses" ? new ResponseEvents() : undefined;
  const held: Frame[] = [];
  const parts: string[] = [];
  let signed: JsonObject | undefined;
  for await (const frame of readFrames(path, frames, status)) {
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
    answer: answer?.(),
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
