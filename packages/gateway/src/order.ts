import type { SealedRequest } from "@countersign/channel";
import {
  CountersignError,
  type Demand,
  demandBytes,
  type EndpointPath,
  fromHex,
  type Hex,
  masksOf,
  type ParsedRequest,
  parseRequest,
  presets,
  readDemand,
  requestDigest,
  toHex,
} from "@countersign/core";
import { readStream } from "@countersign/core/render";
import type { Exchange } from "./exchange.ts";
import { clearRequest, readSealed, requireNonce } from "./sealed/read-order.ts";

/** A request as the gateway understood it: everything that decides what is offered. */
export type Order = {
  readonly path: EndpointPath;
  readonly body: Uint8Array;
  readonly request: ParsedRequest;
  readonly demand: Demand;
  /** Whether the answer goes out as events. */
  readonly stream: boolean;
  /** The nonce that the client drew, or undefined. */
  readonly clientNonce: Hex | undefined;
  readonly synthetic: boolean;
  /** Where the body is sealed: `request` is then what stands in clear. */
  readonly sealed?: SealedRequest | undefined;
};

/** The policy of these endpoints when nobody says one (spec/policy.md §5); offer and receipt say "default". */
const defaultPolicy = presets.signature;

// A digest that the caller sends and we would sign is the caller's word under our key (silent failures R7).
const digestHeader = /^(?:x-.*(?:hash|digest)|content-digest|repr-digest|digest)$/;

/** Refuses headers in which a caller says what a digest is. @throws CALLER_DIGEST_REFUSED */
export function refuseCallerDigests(names: readonly string[]): void {
  const found = names.find((name) => digestHeader.test(name));
  if (found === undefined) return;
  throw new CountersignError("CALLER_DIGEST_REFUSED", {
    message: `The header ${found} claims a digest.`,
    why: "Whoever signs a digest computes it from the bytes; a digest that is only repeated proves nothing.",
    remedy: "Leave the header out.",
    param: found,
  });
}

/** Refuses ways to settle that this gateway does not have: an unknown one must not become the default one (R1). */
export function refuseSettlementModes(values: readonly string[]): void {
  const unknown = values.length > 1 ? values.join(", ") : values.find((value) => value !== "private");
  if (unknown === undefined) return;
  throw new CountersignError("SETTLEMENT_MODE_UNKNOWN", {
    message: `"${unknown}" is not a way to publish a receipt that this gateway has.`,
    remedy: 'Leave the header out, or say "private": a salted leaf in the log.',
    param: "X-Settlement-Type",
  });
}

/** Reads what the caller asks for. @throws REQUEST_*, CHANNEL_MALFORMED, POLICY_*, LEVEL_UNKNOWN, DEADLINE_PASSED, PARAMETER_NOT_SUPPORTED */
export function readOrder(exchange: Exchange, path: EndpointPath, body: Uint8Array, now: number): Order {
  const sealed = readSealed(body);
  const request = sealed ? clearRequest(path, sealed) : parseRequest(path, body);
  const headers = exchange.headers("x-verification");
  if (headers.some((value) => value.trim() === "")) {
    // A variable that was not set must not become the default policy (R1).
    throw new CountersignError("POLICY_MALFORMED", {
      message: "X-Verification is there and empty.",
      remedy: "Say a policy, or leave the header out.",
      param: "X-Verification",
    });
  }
  const demand = readDemand(
    { body: request.value.verification, headers, suffix: request.suffix },
    defaultPolicy,
    Math.floor(now / 1000),
  );
  // The public log counts demanded levels in four masks: what cannot be counted is refused here, not after the run.
  masksOf(demand.policy);
  const clientNonce = readNonce(exchange.headers("x-countersign-nonce"));
  if (sealed) requireNonce(clientNonce);
  return {
    path,
    body,
    request,
    demand,
    sealed,
    stream: readStream(request),
    clientNonce,
    synthetic: readSynthetic(exchange.headers("x-countersign-synthetic")),
  };
}

function readNonce(values: readonly string[]): Hex | undefined {
  const [value] = values;
  if (value === undefined) return undefined;
  if (values.length > 1 || !/^[0-9a-f]{64}$/.test(value)) {
    throw new CountersignError("REQUEST_FIELD_INVALID", {
      message: "X-Countersign-Nonce must be one value of 64 lowercase hexadecimal digits.",
      param: "X-Countersign-Nonce",
    });
  }
  if (/^0+$/.test(value)) {
    throw new CountersignError("PLACEHOLDER_VALUE", {
      message: "The client nonce is all zeros.",
      remedy: "Draw 32 random bytes for each request.",
      param: "X-Countersign-Nonce",
    });
  }
  return value;
}

function readSynthetic(values: readonly string[]): boolean {
  if (values.length === 0) return false;
  if (values.length === 1 && values[0] === "1") return true;
  throw new CountersignError("REQUEST_FIELD_INVALID", {
    message: "X-Countersign-Synthetic takes the value 1.",
    param: "X-Countersign-Synthetic",
  });
}

/** Digest of an order under a nonce: what offer, payment and statement commit to. */
export const digestOf = (order: Pick<Order, "path" | "demand" | "body">, clientNonce: Hex): Hex =>
  toHex(
    requestDigest({
      clientNonce: fromHex(clientNonce),
      method: "POST",
      path: order.path,
      policy: demandBytes(order.demand),
      body: order.body,
    }),
  );
