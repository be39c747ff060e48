// A hostile payer, client and node against a running gateway: each of these once worked.
import { connect, type Socket } from "node:net";
import { fromBase64, fromUtf8 } from "@countersign/core";
import {
  decodeRequired,
  generatePrivateKey,
  openRpc,
  openWallet,
  type Rpc,
  RpcRefusal,
  readBalance,
} from "@countersign/settlement";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { chatBody, codeOf, defaultLimits, pay, send, signPayment, startWorld, type World } from "./fixtures/world.ts";
import { checkOverHttp } from "./node-check.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld({ config: { limits: { ...defaultLimits, concurrent: 3 } } });
  await world.fund(openWallet(world.secrets.walletKey).address, 1_000_000n);
}, 60_000);
afterEach(() => world.node.behave({}));
afterAll(() => world.close());

const url = () => world.gateway.url;
const paid = (over: object = {}) => chatBody({ model: "paid-model", ...over });
const live = (over: object = {}) => paid({ stream: true, verification: { release: "live" }, ...over });
const balanceOf = (address: string) => readBalance(world.chain.rpc, world.contracts.token.address, address);
const balance = () => balanceOf(world.payer.address);
const until = async <T>(read: () => Promise<T>, done: (value: T) => boolean): Promise<T> => {
  for (;;) {
    const value = await read();
    if (done(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
const required = async (body: string) => {
  const response = await send(url(), body);
  expect(response.status).toBe(402);
  await response.body?.cancel();
  return decodeRequired(response.headers.get("payment-required") as string);
};
const gate = () => {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
};

describe("before a payment is asked for", () => {
  it("refuses what the node would refuse, with the node's code and with nothing signed", async () => {
    const seen: unknown[] = [];
    const runs = world.node.runs();
    world.node.behave({
      check: (question) => {
        seen.push({ ...question, body: fromUtf8(fromBase64(question.body)) });
        return { status: 400, error: { code: "PARAMETER_NOT_SUPPORTED", message: "No.\nstack", param: "foo" } };
      },
    });
    const { deployment } =
      world.gateway.deps.catalogue.served().find((s) => s.deployment.model.id === "paid-model") ?? {};
    const body = paid({ foo: 1 });
    const response = await send(url(), body);
    const { error } = (await response.json()) as { error: { code: string; param: string; message: string } };
    expect(response.status).toBe(400);
    expect(error).toMatchObject({ code: "PARAMETER_NOT_SUPPORTED", param: "foo" });
    expect(error.message).not.toContain("stack");
    expect(response.headers.get("payment-required")).toBe(null);
    expect(seen).toEqual([{ path: "/v1/chat/completions", body, deployment: deployment?.id }]);
    expect(world.node.runs()).toBe(runs);
  });

  it("asks nothing about a body so large that the question would cost the node as much as a run", async () => {
    let asked = 0;
    world.node.behave({
      check: () => {
        asked++;
        return undefined;
      },
    });
    const sized = (length: number) => send(url(), paid({ messages: [{ role: "user", content: "x".repeat(length) }] }));
    expect((await sized(2 << 20)).status).toBe(402);
    expect(asked).toBe(0);
    expect((await sized(1 << 19)).status).toBe(402);
    expect(asked).toBe(1);
  });

  it.each([
    ["to be paid", 402, "PAYMENT_REQUIRED"],
    ["for a token", 401, "UNAUTHENTICATED"],
    ["in a code that nobody knows", 400, "toString"],
    ["with its own failure", 500, "INTERNAL"],
  ])("takes no node's word that asks %s", async (_, status, code) => {
    world.node.behave({ check: () => ({ status, error: { code, message: "x" } }) });
    const response = await send(url(), paid());
    expect(`${response.status} ${await codeOf(response)}`).toBe("503 NODE_UNREACHABLE");
  });

  it("asks a node that does not know the question nothing more, and a node that is gone for nothing", async () => {
    world.node.behave({ check: () => ({ status: 404, error: { code: "ENDPOINT_UNKNOWN", message: "x" } }) });
    expect((await send(url(), paid())).status).toBe(402);
    const ask = checkOverHttp({ token: null });
    const question = { path: "/v1/chat/completions", body: new Uint8Array(), deployment: "x" } as const;
    await expect(ask("http://127.0.0.1:1", question)).rejects.toMatchObject({ code: "NODE_UNREACHABLE" });
    const endless = checkOverHttp({
      token: null,
      fetch: async () => new Response(new Uint8Array(1 << 20), { status: 400 }),
    });
    await expect(endless("http://127.0.0.1:1", question)).rejects.toMatchObject({ code: "NODE_UNREACHABLE" });
  });
});

describe("a live stream", () => {
  it("is charged to a reader who hangs up before its end, and kept for him whole", async () => {
    const before = await balance();
    const body = live();
    const header = await signPayment(world, await required(body));
    const { open, opened } = gate();
    let pieces = 0;
    world.node.behave({
      pieces: ["one ", "two ", "three"],
      pause: async () => {
        if (++pieces === 3) await opened;
      },
    });
    const left = new AbortController();
    const response = await send(url(), body, { headers: { "payment-signature": header }, signal: left.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    while (!text.includes("two")) text += fromUtf8((await reader.read()).value as Uint8Array);
    left.abort();
    await reader.closed.catch(() => {});
    open();
    const again = await until(
      () => send(url(), body, { headers: { "payment-signature": header } }),
      (r) => r.status !== 409,
    );
    expect(again.status).toBe(200);
    const whole = await again.text();
    expect(whole).toContain("three");
    expect(whole).toContain("[DONE]");
    const price = before - (await balance());
    expect(price).toBeGreaterThan(0n);
    await send(url(), body, { headers: { "payment-signature": header } }).then((r) => r.text());
    expect(before - (await balance())).toBe(price);
  });

  it("gives nothing before the money is there", async () => {
    await world.chain.rpc.call("evm_setAutomine", [false]);
    try {
      const asked = required(live());
      const header = await signPayment(world, await asked);
      const { open, opened } = gate();
      world.node.behave({
        send: (event) => {
          if (event.type === "done") open();
          return event;
        },
      });
      let answered = false;
      const response = send(url(), live(), { headers: { "payment-signature": header } }).then((r) => {
        answered = true;
        return r;
      });
      await opened;
      const pending = async () => Number((await world.chain.rpc.call<{ pending: string }>("txpool_status")).pending);
      await until(pending, (n) => n > 0);
      expect(answered).toBe(false);
      await world.chain.rpc.call("evm_mine");
      expect(await (await response).text()).toContain("[DONE]");
    } finally {
      await world.chain.rpc.call("evm_setAutomine", [true]);
    }
  });

  it("gives nothing to a wallet that was emptied after the look at it, and stops the run", async () => {
    const rpc = openRpc(world.chain.url);
    const emptied: Rpc = {
      ...rpc,
      call: (method, params) =>
        method === "eth_call" && (params?.[0] as { gas?: string } | undefined)?.gas !== undefined
          ? Promise.reject(new RpcRefusal(method, { code: 3, message: "execution reverted" }))
          : rpc.call(method, params),
    };
    await world.restart({ rpc: emptied });
    try {
      const { open, opened } = gate();
      // The run is slow: it ends because the payment does, not by itself.
      world.node.behave({ pieces: ["secret"], pause: () => opened, onAbort: open });
      const { response } = await pay(world, live());
      expect(response.status).toBe(502);
      const text = await response.text();
      expect(text).toContain("SETTLEMENT_REVERTED");
      expect(text).not.toContain("secret");
      await opened;
    } finally {
      await world.restart();
    }
  });
});

describe("money", () => {
  it("covers one price: of several runs at once the first is taken", async () => {
    const poor = openWallet(generatePrivateKey());
    const asked = await Promise.all([1, 2, 3].map((seed) => required(paid({ seed }))));
    const [{ amount }] = (asked[0] as (typeof asked)[number]).accepts as unknown as [{ amount: string }];
    await world.fund(poor.address, BigInt(amount));
    const headers = await Promise.all(asked.map((r) => signPayment({ ...world, payer: poor }, r)));
    const { open, opened } = gate();
    world.node.behave({ pause: () => opened });
    const runs = world.node.runs();
    const answers = headers.map((header, i) =>
      send(url(), paid({ seed: i + 1 }), { headers: { "payment-signature": header } }),
    );
    const first = await Promise.race(answers);
    expect(`${first.status} ${await codeOf(first)}`).toBe("402 FUNDS_INSUFFICIENT");
    open();
    const statuses = (await Promise.all(answers)).map((r) => r.status).sort();
    expect(statuses).toEqual([200, 402, 402]);
    expect(world.node.runs() - runs).toBe(1);
    expect(await balanceOf(poor.address)).toBe(0n);
  });

  it("taken for a stream that died with the gateway is paid back by the next one", { timeout: 30_000 }, async () => {
    const before = await balance();
    const { open, opened } = gate();
    world.node.behave({ pause: () => opened });
    const answer = pay(world, live()).catch((error: unknown) => error);
    await until(balance, (b) => b < before);
    await world.restart();
    await answer;
    await until(balance, (b) => b === before);
    await world.restart();
    expect(await balance()).toBe(before);
    open();
  });
});

describe("a client that holds on", () => {
  const { port } = { port: () => Number(new URL(url()).port) };
  const half = (length: number): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(port(), "127.0.0.1", () => {
        const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n{`;
        socket.write(head, () => resolve(socket));
      });
      socket.on("error", () => {});
    });

  it("takes no place from others by a body that never ends", async () => {
    const sockets = await Promise.all(Array.from({ length: 10 }, () => half(100)));
    const response = await send(url(), chatBody());
    expect(response.status).toBe(200);
    await response.text();
    for (const socket of sockets) socket.destroy();
  });

  it("opens no event stream by HEAD", async () => {
    const response = await fetch(new URL("/v1/log/events", url()), { method: "HEAD" });
    expect(response.status).toBe(405);
  });
});

it("nobody learns from outside where the nodes are", async () => {
  const text = await (await fetch(new URL("/v1/network", url()))).text();
  expect(text).toContain(world.node.key);
  expect(text).not.toContain(new URL(world.node.url).host);
});

describe("strange words", () => {
  it("an empty policy header is no policy, and not the default one either", async () => {
    for (const value of ["", "  "]) {
      const response = await send(url(), chatBody(), { headers: { "x-verification": value } });
      expect(`${response.status} ${await codeOf(response)}`).toBe("400 POLICY_MALFORMED");
    }
  });

  it("in Host end up in no header", async () => {
    const body = paid();
    const head = (host: string) =>
      `POST /v1/chat/completions HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;
    const ask = (host: string) =>
      new Promise<string>((resolve) => {
        let text = "";
        const socket = connect(Number(new URL(url()).port), "127.0.0.1", () => socket.write(head(host)));
        socket.on("data", (data) => {
          text += data;
        });
        socket.on("close", () => resolve(text));
      });
    for (const host of ["a".repeat(4000), "evil/?x=y", "evil'x"]) {
      const text = await ask(host);
      expect(text).toMatch(/^HTTP\/1.1 40[02] /);
      expect(text).not.toContain(host);
    }
  });

  it("in a path find nothing, and cost nothing", async () => {
    for (const path of ["/v1/models/%E0%A4%A", `/v1/models/${"a".repeat(8000)}`, "/assets/%E0%A4%A"]) {
      const response = await fetch(new URL(path, url()));
      expect(response.status).toBe(404);
      await response.text();
    }
  });
});
