import type { AnswerOpener } from "@countersign/channel";
import {
  CountersignError,
  type Demand,
  demandBytes,
  type EndpointPath,
  endpoints,
  fromHex,
  type Hex,
  type JsonObject,
  type Policy,
  parseRequest,
  printPolicy,
  type Release,
  readDemand,
  requestDigest,
  toHex,
} from "@countersign/core";
import { type AttestedKeys, asksConfidential } from "./attested-keys.ts";
import { defaultPolicy, readPolicy, readRelease, refuseUnknown, type Settings } from "./settings.ts";

/** Options of one call. */
export type CallOptions = {
  /** Demanded beside what the request itself says. */
  readonly policy?: string | Policy;
  readonly release?: Release;
  /** Unix second by which late evidence must be logged. */
  readonly deadline?: number;
  readonly acceptDowngrade?: boolean;
  /** Marks the traffic of self-checks and benchmarks: the public statistics leave it out. */
  readonly synthetic?: boolean;
  /** Seals request and answer to the attested key of the enclave that answers; so does a policy with `confidential`. */
  readonly channel?: "sealed";
  readonly signal?: AbortSignal;
};

export const callOptionNames: readonly string[] = [
  "policy",
  "release",
  "deadline",
  "acceptDowngrade",
  "synthetic",
  "channel",
  "signal",
] satisfies readonly (keyof CallOptions)[];

/** What sealing leaves behind: whose key it is, and how the answer opens. */
export type Sealed = {
  readonly keys: AttestedKeys;
  readonly openAnswer: (nonce: Uint8Array) => Promise<AnswerOpener>;
};

/** A request ready to be sent, with everything about it that a payment or a receipt binds to. */
export type Prepared = {
  readonly path: EndpointPath;
  /** The very bytes that are sent, twice if it must be paid. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** The request itself: what is sealed in the body, or the body. */
  readonly plain: Uint8Array;
  readonly value: JsonObject;
  /** Model's name without a level suffix. */
  readonly model: string;
  readonly stream: boolean;
  readonly demand: Demand;
  readonly clientNonce: Hex;
  readonly requestDigest: Hex;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  readonly acceptDowngrade: boolean;
  readonly channel: "clear" | "sealed";
  /** There when the body is sealed. */
  readonly sealed?: Sealed;
};

const isEndpoint = (path: string): path is EndpointPath => Object.hasOwn(endpoints, path);

/** Whether a call asks to be sealed. @throws OPTION_UNKNOWN for any other word: a misspelt one must not go in clear */
function readChannel(channel: CallOptions["channel"]): boolean {
  if (channel === undefined || channel === "sealed") return channel === "sealed";
  throw new CountersignError("OPTION_UNKNOWN", {
    message: `There is no channel ${JSON.stringify(channel)}.`,
    remedy: 'Give `channel: "sealed"`, or leave it out.',
    param: "channel",
  });
}

/** An endpoint's path. @throws ENDPOINT_UNKNOWN */
export function readEndpoint(path: string): EndpointPath {
  if (isEndpoint(path)) return path;
  throw new CountersignError("ENDPOINT_UNKNOWN", {
    message: `${path} gives no receipts, so its answers cannot be checked; nothing was sent.`,
    remedy: `These do: ${Object.keys(endpoints).join(", ")}.`,
  });
}

const headerText = (policy: Policy | undefined, release: Release | undefined, deadline?: number | null) =>
  [
    policy ? printPolicy(policy) : "",
    ...(release ? [`release=${release}`] : []),
    ...(deadline ? [`deadline=${deadline}`] : []),
  ].join("; ");

/**
 * Takes a request apart and says what it demands: the conjunction of client, call, header, body and model suffix.
 *
 * Where nobody says a policy, it is the SDK's default, not the gateway's. The demand always travels in words, so that
 * both sides compute one digest and no default of the other side comes in.
 *
 * @throws REQUEST_MALFORMED, REQUEST_NOT_CANONICAL, POLICY_MALFORMED, POLICY_CONFLICT, LEVEL_UNKNOWN, DEADLINE_PASSED
 */
export function prepareRequest(
  settings: Settings,
  path: EndpointPath,
  body: Uint8Array<ArrayBuffer>,
  call: CallOptions,
  said: readonly string[] = [],
): Prepared {
  refuseUnknown(call, callOptionNames, "The call");
  const parsed = parseRequest(path, body);
  const headers = [...said];
  if (settings.floor || settings.release) headers.push(headerText(settings.floor, settings.release));
  const asked = call.policy === undefined ? undefined : readPolicy(call.policy);
  const release = call.release === undefined ? undefined : readRelease(call.release);
  if (asked || release || call.deadline) headers.push(headerText(asked, release, call.deadline));
  const seconds = Math.floor(settings.now() / 1000);
  const read = readDemand({ body: parsed.value.verification, headers, suffix: parsed.suffix }, defaultPolicy, seconds);
  const demand: Demand = { ...read, source: "request" };
  const clientNonce = toHex(settings.random(32));
  const digest = requestDigest({
    clientNonce: fromHex(clientNonce),
    method: "POST",
    path,
    policy: demandBytes(demand),
    body,
  });
  return {
    path,
    body,
    plain: body,
    value: parsed.value,
    model: parsed.model,
    stream: parsed.value.stream === true,
    demand,
    clientNonce,
    requestDigest: toHex(digest),
    headers: {
      "content-type": "application/json",
      "x-countersign-nonce": clientNonce,
      "x-verification": headerText(demand.policy, demand.release, demand.deadline),
      ...(call.synthetic === true ? { "x-countersign-synthetic": "1" } : {}),
    },
    signal: call.signal,
    acceptDowngrade: settings.acceptDowngrade || call.acceptDowngrade === true,
    channel: readChannel(call.channel) || asksConfidential(demand) ? "sealed" : "clear",
  };
}
