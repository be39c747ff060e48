import { timingSafeEqual } from "node:crypto";
import {
  CountersignError,
  type Json,
  type Payment,
  parseJsonBytes,
  sha256,
  type TokenDomain,
  toEnvelope,
  utf8,
} from "@countersign/core";
import type { Rpc } from "./chain/rpc.ts";
import type { SettleQueue } from "./settle/queue.ts";
import { checkFunds } from "./x402/funds.ts";
import type { Recover } from "./x402/recover-native.ts";
import { checkAuthorization } from "./x402/verify-payment.ts";
import {
  type PaymentPayload,
  parsePayment,
  parseRequirements,
  type Requirements,
  type SettlementResult,
} from "./x402/wire.ts";

/** What a facilitator says about a payment (x402 v2 `VerifyResponse`); reasons are codes of this project. */
export type VerifyResult = {
  readonly isValid: boolean;
  readonly invalidReason?: string;
  readonly invalidMessage?: string;
  readonly payer?: string;
};

/** The three things that a facilitator does, as functions. */
export type Facilitator = {
  readonly verify: (payload: PaymentPayload, requirements: Requirements) => Promise<VerifyResult>;
  readonly settle: (payload: PaymentPayload, requirements: Requirements) => Promise<SettlementResult>;
  readonly supported: () => {
    readonly kinds: readonly { readonly x402Version: 2; readonly scheme: "exact"; readonly network: string }[];
    readonly extensions: readonly string[];
    readonly signers: Readonly<Record<string, readonly string[]>>;
  };
};

/** A facilitator in this process: signature and funds checked here, settlement through the durable queue. */
export function openFacilitator(args: {
  readonly rpc: Rpc;
  readonly domain: TokenDomain;
  readonly queue: Pick<SettleQueue, "settle" | "sender">;
  readonly recover: Recover;
  /** Milliseconds. */
  readonly now?: () => number;
}): Facilitator {
  const { rpc, domain, queue, recover } = args;
  const network = `eip155:${domain.chainId}`;
  const check = async (payload: PaymentPayload, requirements: Requirements) => {
    const checked = checkAuthorization({ payload, requirements, domain, recover, now: (args.now ?? Date.now)() });
    await checkFunds(rpc, { key: checked.key, amount: requirements.amount });
    return checked;
  };
  const said = (error: unknown) => {
    if (CountersignError.is(error) && error.status < 500) return { reason: error.code, message: error.message };
    throw error;
  };
  return {
    async verify(payload, requirements) {
      try {
        const { payer } = await check(payload, requirements);
        return { isValid: true, payer };
      } catch (error) {
        const { reason, message } = said(error);
        return { isValid: false, invalidReason: reason, invalidMessage: message };
      }
    },
    async settle(payload, requirements) {
      try {
        const { payer } = await check(payload, requirements);
        const payment: Payment = {
          scheme: "exact",
          network: requirements.network,
          token: { address: requirements.asset, name: domain.name, version: domain.version },
          authorization: payload.payload.authorization,
          signature: payload.payload.signature,
          salt: null,
          chargeable: requirements.amount,
        };
        const { transaction } = await queue.settle(payment);
        return { success: true, transaction, network, payer, amount: requirements.amount };
      } catch (error) {
        if (!CountersignError.is(error)) throw error;
        return { success: false, errorReason: error.code, errorMessage: error.message, transaction: "", network };
      }
    },
    supported: () => ({
      kinds: [{ x402Version: 2, scheme: "exact", network }],
      extensions: ["countersign"],
      signers: { [network]: [queue.sender] },
    }),
  };
}

/** Largest request body of the routes, in bytes. */
const largestBody = 65_536;

async function readBody(request: Request): Promise<{ payload: PaymentPayload; requirements: Requirements }> {
  if (Number(request.headers.get("content-length") ?? 0) > largestBody) throw tooLarge();
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.length > largestBody) throw tooLarge();
  const value = parseJsonBytes(bytes) as { readonly [key: string]: Json };
  return {
    payload: parsePayment(value?.paymentPayload),
    requirements: parseRequirements(value?.paymentRequirements),
  };
}

const tooLarge = () =>
  new CountersignError("REQUEST_TOO_LARGE", { message: `A facilitator reads at most ${largestBody} bytes.` });

/**
 * The facilitator's routes: `POST /verify`, `POST /settle`, `GET /supported`, below `prefix`.
 *
 * `/settle` spends our gas, so it wants a bearer token, unless the configuration says "anonymous" (silent failures P15).
 */
export function facilitatorRoutes(
  facilitator: Facilitator,
  options: { readonly access: { readonly bearer: string } | "anonymous"; readonly prefix?: string },
): (request: Request) => Promise<Response> {
  const { access, prefix = "" } = options;
  const isAllowed = (request: Request) => {
    if (access === "anonymous") return true;
    const got = sha256(utf8(request.headers.get("authorization") ?? ""));
    return timingSafeEqual(got, sha256(utf8(`Bearer ${access.bearer}`)));
  };
  const answer = async (request: Request): Promise<unknown> => {
    const { pathname } = new URL(request.url);
    const route = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : "";
    const method = { "/verify": "POST", "/settle": "POST", "/supported": "GET" }[route];
    if (method === undefined) throw new CountersignError("ENDPOINT_UNKNOWN", { message: `There is no ${pathname}.` });
    if (request.method !== method) {
      throw new CountersignError("METHOD_NOT_ALLOWED", { message: `${pathname} takes ${method}.` });
    }
    if (route === "/supported") return facilitator.supported();
    if (!isAllowed(request)) {
      throw new CountersignError("UNAUTHENTICATED", { message: "This facilitator serves its own gateways only." });
    }
    const { payload, requirements } = await readBody(request);
    return route === "/verify" ? facilitator.verify(payload, requirements) : facilitator.settle(payload, requirements);
  };
  return async (request) => {
    try {
      return Response.json(await answer(request));
    } catch (error) {
      const { status, body } = toEnvelope(error);
      return Response.json(body, { status });
    }
  };
}
