import { CountersignError } from "@countersign/core";

/** A call to a chain's JSON-RPC endpoint; each has a deadline. */
export type Rpc = {
  readonly url: string;
  /** @throws CHAIN_UNREACHABLE when nothing answers in time; RpcRefusal when the node answers with an error. */
  readonly call: <T = unknown>(method: string, params?: readonly unknown[]) => Promise<T>;
};

/** The node answered, and the answer is an error. Its message is the node's own. */
export class RpcRefusal extends Error {
  readonly code: number;
  readonly data: unknown;
  constructor(method: string, error: { readonly code: number; readonly message: string; readonly data?: unknown }) {
    super(`${method}: ${error.message}`);
    this.name = "RpcRefusal";
    this.code = error.code;
    this.data = error.data;
  }
}

type Reply = { readonly result?: unknown; readonly error?: { code: number; message: string; data?: unknown } };

/** Opens an endpoint. @param deadline milliseconds for one call */
export function openRpc(url: string, deadline = 10_000): Rpc {
  let id = 0;
  const unreachable = (method: string, cause?: unknown): never => {
    throw new CountersignError("CHAIN_UNREACHABLE", {
      message: "The chain's RPC endpoint does not answer.",
      why: `${method} got no JSON-RPC answer within ${deadline} ms.`,
      remedy: "Start the chain, or correct its URL in the configuration.",
      cause,
    });
  };
  return {
    url,
    async call<T>(method: string, params: readonly unknown[] = []): Promise<T> {
      let reply: Reply;
      try {
        const response = await fetch(url, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params }),
          signal: AbortSignal.timeout(deadline),
        });
        reply = (await response.json()) as Reply;
      } catch (cause) {
        return unreachable(method, cause);
      }
      if (typeof reply !== "object" || reply === null) return unreachable(method);
      if (reply.error) throw new RpcRefusal(method, reply.error);
      if (!("result" in reply)) return unreachable(method);
      return reply.result as T;
    },
  };
}
