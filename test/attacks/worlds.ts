// One network in this process for the attacks of one file: real chain, real gateway, a node that lies on demand.
import { decodeRequired, readBalance } from "@countersign/settlement";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import {
  chatBody,
  codeOf,
  defaultLimits,
  send,
  signPayment,
  startWorld,
  type World,
} from "../../packages/gateway/src/fixtures/world.ts";

export { chatBody, codeOf, pay, send, signPayment } from "../../packages/gateway/src/fixtures/world.ts";

/** Starts the network before a file's tests and stops it after them. */
export function useWorld() {
  let world: World | undefined;
  beforeAll(async () => {
    world = await startWorld({
      config: { limits: { ...defaultLimits, witnessMs: 2500 } },
      models: [
        { id: "free-model", tasks: ["chat", "completion", "responses", "embedding", "tensors"] },
        {
          id: "paid-model",
          tasks: ["chat", "completion", "responses"],
          price: { base: "1000", perInputKiB: "10", perOutputToken: "2" },
        },
        {
          id: "relay-model",
          tasks: ["chat"],
          scope: "origin",
          guarantees: ["issuer:signature & origin:signature & output:signature & request:signature"],
        },
      ],
    });
  });
  afterEach(() => {
    world?.node.behave({});
    world?.witness.hold(false);
  });
  afterAll(() => world?.close());
  const get = (): World => {
    if (!world) throw new Error("the world did not start");
    return world;
  };
  return {
    get,
    url: () => get().gateway.url,
    balance: () => readBalance(get().chain.rpc, get().contracts.token.address, get().payer.address),
    /** Status and code of a refusal; what was answered has no code and fails the test. */
    refused: async (body: string | Uint8Array, headers: Record<string, string> = {}) => {
      const response = await send(get().gateway.url, body, { headers });
      return `${response.status} ${await codeOf(response)}`;
    },
    /** What the 402 asks for. */
    required: async (body: string) => {
      const response = await send(get().gateway.url, body);
      expect(response.status).toBe(402);
      await response.body?.cancel();
      return decodeRequired(response.headers.get("payment-required") as string);
    },
    /** Value of PAYMENT-SIGNATURE for what a 402 asks. */
    sign: (asked: Parameters<typeof signPayment>[1], change?: Parameters<typeof signPayment>[2]) =>
      signPayment(get(), asked, change),
  };
}

export const paid = (over: object = {}): string => chatBody({ model: "paid-model", ...over });
