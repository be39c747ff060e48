import { CountersignError, type Hex, toHex } from "@countersign/core";
import { type Budget, Ledger } from "./budget.ts";
import { errorResponse } from "./drop-in.ts";
import { readBytes, readObject } from "./http.ts";
import { signPayment } from "./pay.ts";
import { readPaymentRequired } from "./payment-required.ts";
import { type Fetch, longestDeadline, refuseUnknown } from "./settings.ts";
import type { Wallet } from "./wallet.ts";

/** What an unchecked client needs: somebody who pays, and how much. */
export type UncheckedOptions = {
  readonly gateway: string;
  readonly wallet?: Wallet;
  readonly budget?: Budget;
  readonly fetch?: Fetch;
  readonly random?: (bytes: number) => Uint8Array;
  readonly now?: () => number;
};

/**
 * UNSAFE: pays and checks NOTHING. Whatever the gateway says is handed on as it is: another model, an altered answer, a
 * forged receipt, no receipt. Only the budget and the ten minutes of an authorisation are kept.
 *
 * For benchmarks, for tests of gateways, and for programs that verify by themselves. It lives behind its own import so
 * that nobody gets it by accident and a search for `sdk/unsafe` finds every use.
 *
 * @example new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "unused", fetch: uncheckedClient({ gateway, wallet, budget }).fetch })
 */
export function uncheckedClient(options: UncheckedOptions): { readonly fetch: typeof fetch } {
  refuseUnknown(options, ["gateway", "wallet", "budget", "fetch", "random", "now"], "uncheckedClient()");
  const transport: Fetch = options.fetch ?? ((url, init) => fetch(url, init));
  const random = options.random ?? ((n: number) => crypto.getRandomValues(new Uint8Array(n)));
  const now = options.now ?? Date.now;
  const ledger = new Ledger(options.budget, now);

  const call = async (url: string, init: RequestInit): Promise<Response> => {
    const first = await transport(url, init);
    if (first.status !== 402 || !options.wallet) return first;
    const required = readPaymentRequired(first.headers.get("payment-required"), readObject(await readBytes(first)));
    const [option] = required.options;
    if (!option) return first;
    const hold = ledger.reserve(option.requirements.amount);
    const info = required.raw as { extensions: { countersign: { info: { requestDigest: Hex } } } };
    const life = Math.min(option.requirements.maxTimeoutSeconds, options.budget?.maxDeadlineSeconds ?? longestDeadline);
    const { header } = await signPayment({
      wallet: options.wallet,
      option,
      raw: required.raw,
      offerDigest: option.requirements.extra.offer,
      requestDigest: info.extensions.countersign.info.requestDigest,
      validBefore: Math.floor(now() / 1000) + life,
      salt: toHex(random(32)),
    });
    const headers = new Headers(init.headers);
    headers.set("payment-signature", header);
    const paid = await transport(url, { ...init, headers });
    if (paid.ok) hold.spend();
    else hold.keep(Math.floor(now() / 1000) + life);
    return paid;
  };

  return {
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const body = request.method === "GET" ? null : new Uint8Array(await request.arrayBuffer());
      const { method, headers, signal } = request;
      try {
        return await call(request.url, { method, headers, signal, ...(body && { body }) });
      } catch (error) {
        if (CountersignError.is(error)) return errorResponse(error);
        throw error;
      }
    },
  };
}
