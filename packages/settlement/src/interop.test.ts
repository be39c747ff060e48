// The stock x402 client pays a small server that is built on this package alone.
import { createServer, type Server } from "node:http";
import { CountersignError, concat, requestDigest, sha256, toEnvelope, toHex, utf8 } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { openStore, type Store } from "@countersign/store";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Anvil, startAnvil } from "./chain/anvil.ts";
import { assertChain } from "./chain/assert.ts";
import { type Deployment, deployContracts, fundGas, mint } from "./chain/deploy.ts";
import { readBalance } from "./chain/read.ts";
import { generatePrivateKey, openWallet } from "./chain/wallet.ts";
import { type Facilitator, facilitatorRoutes, openFacilitator } from "./facilitator.ts";
import { makeOffer } from "./offers.ts";
import { openSettleQueue, type SettleQueue } from "./settle/queue.ts";
import { checkFunds } from "./x402/funds.ts";
import type { Recover } from "./x402/recover-native.ts";
import { checkPayment, loadOffer, offerOf } from "./x402/verify-payment.ts";
import { decodePayment, encodeRequired, encodeSettlement, paymentHeaderOf } from "./x402/wire.ts";

let anvil: Anvil;
let deployment: Deployment;
let store: Store;
let queue: SettleQueue;
let recover: Recover;
let server: Server;
let base: string;
let facilitator: Facilitator;
let runs = 0;
const faucet = openWallet(generatePrivateKey());
const payTo = openWallet(generatePrivateKey()).address;
const gateway = ed25519Signer(new Uint8Array(32).fill(9));
const suite = nodeSuite;

/** What a gateway does, without the inference. */
async function serve(request: Request): Promise<Response> {
  const body = new Uint8Array(await request.arrayBuffer());
  const { address: asset, name, version } = deployment.token;
  const network = `eip155:${anvil.chainId}`;
  const domain = { name, version, chainId: anvil.chainId, verifyingContract: asset };
  const digestOf = (clientNonce: Uint8Array) =>
    toHex(requestDigest({ clientNonce, method: "POST", path: "/ask", policy: utf8("signature"), body }));
  const header = paymentHeaderOf(request.headers);
  if (header === undefined) {
    const clientNonce = sha256(concat(body, utf8(String(Math.random()))));
    const signed = await makeOffer({
      facts: {
        node: "0".repeat(64),
        model: { id: "echo", digest: "1".repeat(64) },
        deployment: { id: "echo", version: 1 },
        prices: { base: "1000", perInputKiB: "10", perOutputToken: "0" },
      },
      usage: { inputBytes: body.length, maxTokens: 0 },
      guarantee: "signature",
      release: "met",
      unmet: "promised",
      requestDigest: digestOf(clientNonce),
      deadline: null,
      network,
      asset,
      payTo,
      gateway,
      now: Date.now(),
      store,
      remember: { clientNonce: toHex(clientNonce) },
    });
    const { header: required, body: answer } = encodeRequired({
      url: request.url,
      requestDigest: signed.offer.requestDigest,
      clientNonce: toHex(clientNonce),
      token: { name, version },
      offers: [signed],
    });
    return Response.json(answer, {
      status: 402,
      headers: { "payment-required": required, "cache-control": "no-store" },
    });
  }
  const payload = decodePayment(header);
  const { offer, stored } = await loadOffer(offerOf(payload), {
    offers: store.offers,
    gateway: toHex(gateway.publicKey),
    suite,
  });
  const clientNonce = (stored.facts as { clientNonce: string }).clientNonce;
  const checked = checkPayment({
    payload,
    offer,
    requestDigest: digestOf(Uint8Array.from(Buffer.from(clientNonce, "hex"))),
    now: Date.now(),
    domain,
    recover,
  });
  await checkFunds(anvil.rpc, { key: checked.key, amount: offer.amount });
  const held = await store.reservations.reserve({
    paymentKey: checked.key,
    offerDigest: offerOf(payload),
    requestDigest: offer.requestDigest,
    receiptId: "3".repeat(64),
    validBefore: checked.payment.authorization.validBefore,
    now: Date.now(),
    clientNonce,
  });
  if (held.state !== "reserved") throw new CountersignError("PAYMENT_REPLAYED", { message: "Used." });
  runs++;
  const { transaction } = await queue.settle(checked.payment);
  const result = encodeSettlement({ success: true, transaction, network, payer: checked.payer, amount: offer.amount });
  return Response.json({ echo: body.length, bound: checked.bound }, { headers: { "payment-response": result } });
}

beforeAll(async () => {
  anvil = await startAnvil();
  await fundGas(anvil.rpc, faucet.address);
  deployment = await deployContracts(anvil.rpc, faucet);
  ({ recover } = await assertChain({ rpc: anvil.rpc, deployment }));
  store = openStore({ file: ":memory:" });
  const wallet = openWallet(generatePrivateKey());
  await fundGas(anvil.rpc, wallet.address);
  queue = openSettleQueue({ store, rpc: anvil.rpc, chainId: anvil.chainId, wallet });
  const { name, version, address } = deployment.token;
  const domain = { name, version, chainId: anvil.chainId, verifyingContract: address };
  facilitator = openFacilitator({ rpc: anvil.rpc, domain, queue, recover });
  server = createServer(async (incoming, outgoing) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
    const request = new Request(`${base}${incoming.url}`, {
      method: incoming.method ?? "GET",
      headers: new Headers(Object.entries(incoming.headers).map(([k, v]) => [k, String(v)] as [string, string])),
      ...(incoming.method === "POST" ? { body: Buffer.concat(chunks) } : {}),
    });
    const response = await serve(request).catch((error) => {
      const { status, body } = toEnvelope(error);
      return Response.json(body, { status });
    });
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}, 60_000);
afterAll(async () => {
  server.close();
  await queue.close();
  await store.close();
  await anvil.stop();
});

async function stockClient(funds = 1_000_000n) {
  const key = generatePrivateKey();
  const account = privateKeyToAccount(`0x${key}`);
  if (funds > 0n) await mint(anvil.rpc, faucet, deployment.token.address, account.address, funds);
  const network = `eip155:${anvil.chainId}` as const;
  const client = new x402Client()
    .setSpendControls({ allowedAssets: [{ network, asset: deployment.token.address, maxAmountPerPayment: "1000000" }] })
    .register(network, new ExactEvmScheme(account));
  return { address: account.address, ask: wrapFetchWithPayment(fetch, client) };
}
const body = JSON.stringify({ question: "what ran?" });

test("the stock client pays, gets its answer and the settlement", async () => {
  const { address, ask } = await stockClient();
  const response = await ask(`${base}/ask`, { method: "POST", body });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ echo: body.length, bound: false });
  const settlement = decodePaymentResponseHeader(response.headers.get("payment-response") ?? "");
  expect(settlement).toMatchObject({ success: true, payer: address.toLowerCase(), amount: "1010" });
  expect(settlement.transaction).toMatch(/^0x[0-9a-f]{64}$/);
  expect(await readBalance(anvil.rpc, deployment.token.address, payTo)).toBe(1010n);
  expect(await readBalance(anvil.rpc, deployment.token.address, address)).toBe(998_990n);
});

test("one payment sent five times at once gives one answer and four refusals, and is worth nothing for another request (P1, P5)", async () => {
  let captured: string | undefined;
  const key = generatePrivateKey();
  const account = privateKeyToAccount(`0x${key}`);
  await mint(anvil.rpc, faucet, deployment.token.address, account.address, 10_000n);
  const network = `eip155:${anvil.chainId}` as const;
  const client = new x402Client()
    .setSpendControls({ allowedAssets: [{ network, asset: deployment.token.address, maxAmountPerPayment: "1000000" }] })
    .register(network, new ExactEvmScheme(account));
  const catching: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    captured = request.headers.get("payment-signature") ?? undefined;
    return captured === undefined ? fetch(request) : new Response(null, { status: 200 });
  };
  await wrapFetchWithPayment(catching, client)(`${base}/ask`, { method: "POST", body });
  const before = runs;
  const send = (text = body) =>
    fetch(`${base}/ask`, { method: "POST", body: text, headers: { "payment-signature": captured as string } });
  const moved = await send(JSON.stringify({ question: "another" }));
  expect(moved.status).toBe(402);
  expect(((await moved.json()) as { error: { code: string } }).error.code).toBe("PAYMENT_NOT_BOUND");
  const answers = await Promise.all([send(), send(), send(), send(), send()]);
  expect(answers.map((r) => r.status).sort()).toEqual([200, 409, 409, 409, 409]);
  expect(runs).toBe(before + 1);
  expect(await readBalance(anvil.rpc, deployment.token.address, account.address)).toBe(8990n);
});

test("an empty wallet is refused before the run", async () => {
  const { ask } = await stockClient(0n);
  const before = runs;
  const response = await ask(`${base}/ask`, { method: "POST", body });
  expect(response.status).toBe(402);
  expect(((await response.json()) as { error: { code: string } }).error.code).toBe("FUNDS_INSUFFICIENT");
  expect(runs).toBe(before);
});

test("a payment header that is nonsense is malformed", async () => {
  const response = await fetch(`${base}/ask`, { method: "POST", body, headers: { "payment-signature": "e30=" } });
  expect(response.status).toBe(400);
  expect(((await response.json()) as { error: { code: string } }).error.code).toBe("PAYMENT_MALFORMED");
});

test("the facilitator verifies, settles, refuses, and is not for strangers", async () => {
  const key = generatePrivateKey();
  const account = privateKeyToAccount(`0x${key}`);
  await mint(anvil.rpc, faucet, deployment.token.address, account.address, 10_000n);
  const network = `eip155:${anvil.chainId}` as const;
  const { address: asset, name, version } = deployment.token;
  const requirements = {
    scheme: "exact",
    network,
    amount: "700",
    asset,
    payTo,
    maxTimeoutSeconds: 300,
    extra: { name, version },
  };
  const client = new x402Client()
    .setSpendControls({ allowedAssets: [{ network, asset, maxAmountPerPayment: "1000000" }] })
    .register(network, new ExactEvmScheme(account));
  const paymentPayload = await client.createPaymentPayload({
    x402Version: 2,
    resource: { url: `${base}/x` },
    accepts: [requirements],
  });
  const routes = facilitatorRoutes(facilitator, { access: { bearer: "key" }, prefix: "/facilitator" });
  const post = (route: string, change: object = {}, bearer = "key") =>
    routes(
      new Request(`http://x/facilitator${route}`, {
        method: "POST",
        headers: { authorization: `Bearer ${bearer}` },
        body: JSON.stringify({ x402Version: 2, paymentPayload, paymentRequirements: { ...requirements, ...change } }),
      }),
    );
  expect((await routes(new Request("http://x/facilitator/supported"))).status).toBe(200);
  expect((await routes(new Request("http://x/facilitator/settle"))).status).toBe(405);
  expect((await post("/other")).status).toBe(404);
  expect((await post("/settle", {}, "guess")).status).toBe(401);
  expect(await (await post("/verify")).json()).toEqual({ isValid: true, payer: account.address.toLowerCase() });
  expect(await (await post("/verify", { amount: "701" })).json()).toMatchObject({
    isValid: false,
    invalidReason: "PAYMENT_MISMATCH",
  });
  expect((await post("/verify", { maxTimeoutSeconds: 3600 })).status).toBe(400);
  expect(await (await post("/settle")).json()).toMatchObject({ success: true, network, amount: "700" });
  expect(await (await post("/settle")).json()).toMatchObject({
    success: false,
    errorReason: "PAYMENT_REPLAYED",
    transaction: "",
  });
});
