import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  authorizationDigest,
  CountersignError,
  domainSeparator,
  type Payment,
  type TokenDomain,
  toHex,
} from "@countersign/core";
import { openStore, type Store } from "@countersign/store";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Anvil, startAnvil } from "../chain/anvil.ts";
import { type Deployment, deployContracts, fundGas, mint, sendAndWait } from "../chain/deploy.ts";
import { readBalance } from "../chain/read.ts";
import { openRpc, type Rpc, RpcRefusal } from "../chain/rpc.ts";
import { generatePrivateKey, openWallet, type Wallet } from "../chain/wallet.ts";
import { callData, planSettlement } from "./plan.ts";
import { openSettleQueue, type SettleQueue, type SettleQueueOptions } from "./queue.ts";

let anvil: Anvil;
let deployment: Deployment;
let domain: TokenDomain;
const faucet = openWallet(generatePrivateKey());
const payer = openWallet(generatePrivateKey());
const payTo = openWallet(generatePrivateKey()).address;
let serial = 0;

beforeAll(async () => {
  anvil = await startAnvil();
  await fundGas(anvil.rpc, faucet.address);
  deployment = await deployContracts(anvil.rpc, faucet);
  const { name, version, address } = deployment.token;
  domain = { name, version, chainId: anvil.chainId, verifyingContract: address };
  await mint(anvil.rpc, faucet, address, payer.address, 10n ** 12n);
}, 60_000);
afterAll(() => anvil.stop());

async function pay(change: { from?: Wallet; value?: string; validBefore?: number } = {}): Promise<Payment> {
  const from = change.from ?? payer;
  const authorization = {
    from: from.address,
    to: payTo,
    value: change.value ?? "1000",
    validAfter: 0,
    validBefore: change.validBefore ?? Math.floor(Date.now() / 1000) + 600,
    nonce: (++serial).toString(16).padStart(64, "0"),
  };
  const signature = await from.signDigest(authorizationDigest(authorization, domainSeparator(domain)));
  return {
    scheme: "exact",
    network: `eip155:${anvil.chainId}`,
    token: { address: deployment.token.address, name: domain.name, version: domain.version },
    authorization,
    signature,
    salt: null,
    chargeable: authorization.value,
  };
}

let folder: string;
let file: string;
let store: Store;
let sender: Wallet;
let senderKey: string;
const queues: SettleQueue[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "countersign-queue-"));
  file = join(folder, "state.db");
  store = openStore({ file });
  senderKey = generatePrivateKey();
  sender = openWallet(senderKey);
  await fundGas(anvil.rpc, sender.address);
});
afterEach(async () => {
  await Promise.all(queues.splice(0).map((queue) => queue.close()));
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(change: Partial<SettleQueueOptions> = {}): SettleQueue {
  const queue = openSettleQueue({
    store,
    rpc: anvil.rpc,
    chainId: anvil.chainId,
    wallet: sender,
    pause: 20,
    ...change,
  });
  queues.push(queue);
  return queue;
}
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing thrown",
    (error) => (CountersignError.is(error) ? error.code : error),
  );
const received = () => readBalance(anvil.rpc, deployment.token.address, payTo);
/** The same endpoint with one method in the way. */
const intercept = (method: string, instead: (params: readonly unknown[]) => Promise<unknown>): Rpc => ({
  ...anvil.rpc,
  call: (name, params) => (name === method ? instead(params ?? []) : anvil.rpc.call(name, params)) as never,
});

describe("settling", { timeout: 20_000 }, () => {
  test("forty at once are forty transfers", async () => {
    const before = await received();
    const queue = open();
    const payments = await Promise.all(Array.from({ length: 40 }, () => pay()));
    const start = performance.now();
    const settled = await Promise.all(payments.map((payment) => queue.settle(payment)));
    const perSecond = 40 / ((performance.now() - start) / 1000);
    console.info(`40 settlements at once: ${perSecond.toFixed(0)}/s`);
    expect(new Set(settled.map((s) => s.transaction)).size).toBe(40);
    expect((await received()) - before).toBe(40_000n);
    expect(await queue.open()).toBe(0);
  });

  test("asked twice, settles once", async () => {
    const before = await received();
    const queue = open();
    const payment = await pay();
    const [one, two] = await Promise.all([queue.settle(payment), queue.settle(payment)]);
    expect(two).toEqual(one);
    expect(await queue.settle(payment)).toEqual(one);
    expect((await received()) - before).toBe(1000n);
  });

  test("completes the reservation", async () => {
    const payment = await pay();
    const { authorization, network, token } = payment;
    const paymentKey = { network, asset: token.address, from: authorization.from, nonce: authorization.nonce };
    const digest = "0".repeat(64);
    const facts = { offerDigest: digest, requestDigest: digest, receiptId: digest, validBefore: 0, now: 0 };
    await store.reservations.reserve({ paymentKey, ...facts });
    await open().settle(payment);
    expect((await store.reservations.get(paymentKey))?.state).toBe("settled");
    expect((await store.reservations.reserve({ paymentKey, ...facts })).state).toBe("used");
  });

  test("a payment that the token refuses fails before it costs gas", async () => {
    const poor = openWallet(generatePrivateKey());
    const nonce = await anvil.rpc.call("eth_getTransactionCount", [sender.address, "latest"]);
    expect(await code(open().settle(await pay({ from: poor })))).toBe("SETTLEMENT_REVERTED");
    expect(await anvil.rpc.call("eth_getTransactionCount", [sender.address, "latest"])).toBe(nonce);
  });

  test("a transaction that is mined as reverted is a failure, whatever the node accepted", async () => {
    const poor = openWallet(generatePrivateKey());
    await mint(anvil.rpc, faucet, deployment.token.address, poor.address, 1500n);
    const queue = open();
    const both = await Promise.all([pay({ from: poor }), pay({ from: poor })]);
    await anvil.rpc.call("evm_setAutomine", [false]);
    const codes = both.map((payment) => code(queue.settle(payment)));
    for (;;) {
      const status = await anvil.rpc.call<{ pending: string }>("txpool_status");
      if (Number(status.pending) === 2) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await anvil.rpc.call("evm_mine");
    await anvil.rpc.call("evm_setAutomine", [true]);
    expect((await Promise.all(codes)).sort()).toEqual(["SETTLEMENT_REVERTED", "nothing thrown"]);
    expect(await readBalance(anvil.rpc, deployment.token.address, poor.address)).toBe(500n);
  });

  test("a token without code succeeds and moves nothing: no transfer", async () => {
    const payment = await pay();
    const empty = { ...payment, token: { ...payment.token, address: `0x${"12".repeat(20)}` } };
    expect(await code(open().settle(empty))).toBe("SETTLEMENT_NO_TRANSFER");
  });

  test("an authorisation that somebody else submitted is settled all the same", async () => {
    const payment = await pay();
    const foreign = await sendAndWait(anvil.rpc, faucet, {
      to: payment.token.address,
      data: callData(planSettlement(payment)),
    });
    expect((await open().settle(payment)).block).toBe(Number(foreign.blockNumber));
  });

  test("a nonce that another transaction took is signed anew", async () => {
    const before = await received();
    let stolen = false;
    const rpc = intercept("eth_sendRawTransaction", async (params) => {
      if (!stolen) {
        stolen = true;
        await sendAndWait(anvil.rpc, sender, { to: faucet.address, value: 1n });
      }
      return anvil.rpc.call("eth_sendRawTransaction", params);
    });
    await open({ rpc, resend: 10 }).settle(await pay());
    expect((await received()) - before).toBe(1000n);
  });

  test("a fee that the node finds too low is raised under the same nonce", async () => {
    const nonces: unknown[] = [];
    const rpc = intercept("eth_sendRawTransaction", async (params) => {
      const { parseTransaction } = await import("viem");
      const { nonce, maxFeePerGas = 0n } = parseTransaction(params[0] as `0x${string}`);
      nonces.push({ nonce, maxFeePerGas });
      const refusal = { code: -32000, message: "max fee per gas less than block base fee" };
      if (nonces.length === 1) throw new RpcRefusal("eth_sendRawTransaction", refusal);
      return anvil.rpc.call("eth_sendRawTransaction", params);
    });
    await open({ rpc }).settle(await pay());
    const [first, second] = nonces as { nonce: number; maxFeePerGas: bigint }[];
    expect(second?.nonce).toBe(first?.nonce);
    expect(second?.maxFeePerGas).toBeGreaterThan(first?.maxFeePerGas as bigint);
  });

  test("waits for its depth, and starts again when the block is gone", async () => {
    const queue = open({ depth: 2 });
    const snapshot = await anvil.rpc.call("evm_snapshot");
    const payment = await pay();
    const settled = queue.settle(payment);
    const job = async () => (await store.settleJobs.open(`eip155:${anvil.chainId}/${sender.address}`))[0];
    while ((await job())?.state !== "included") await new Promise((resolve) => setTimeout(resolve, 5));
    await anvil.rpc.call("evm_revert", [snapshot]);
    await anvil.rpc.call("evm_mine");
    while ((await job())?.state === "included") await new Promise((resolve) => setTimeout(resolve, 5));
    await queue.close();
    expect(await code(settled)).toBe("SETTLEMENT_FAILED");
    const again = open({ depth: 2, resend: 10 }).settle(payment);
    while ((await job())?.state !== "included") await new Promise((resolve) => setTimeout(resolve, 5));
    await anvil.rpc.call("anvil_mine", ["0x2"]);
    expect((await again).block).toBeGreaterThan(0);
  });

  test("a chain that does not answer leaves the job on disk", async () => {
    const rpc = openRpc("http://127.0.0.1:9", 500);
    const payment = await pay();
    expect(await code(open({ rpc, patience: 150 }).settle(payment))).toBe("SETTLEMENT_FAILED");
    await queues.splice(0)[0]?.close();
    const before = await received();
    await open().settle(payment);
    expect((await received()) - before).toBe(1000n);
  });
});

describe("a process that is killed", { timeout: 30_000 }, () => {
  const script = (payment: Payment, kill: "before" | "after") => `
    import { openStore } from ${JSON.stringify(new URL("../../../store/src/index.ts", import.meta.url).href)};
    import { openRpc, openSettleQueue, openWallet } from ${JSON.stringify(new URL("../index.ts", import.meta.url).href)};
    const real = openRpc(${JSON.stringify(anvil.url)});
    const rpc = { ...real, async call(method, params) {
      if (method !== "eth_sendRawTransaction") return real.call(method, params);
      if (${JSON.stringify(kill)} === "after") await real.call(method, params);
      process.kill(process.pid, "SIGKILL");
      await new Promise(() => {});
    } };
    const store = openStore({ file: ${JSON.stringify(file)} });
    const queue = openSettleQueue({ store, rpc, chainId: ${anvil.chainId}, wallet: openWallet(${JSON.stringify(senderKey)}) });
    await queue.settle(${JSON.stringify(payment)});`;
  const run = (text: string) =>
    expect(() => execFileSync(process.execPath, ["--input-type=module", "-e", text], { stdio: "ignore" })).toThrow();

  test.each(["before", "after"] as const)("%s its transaction was sent makes exactly one transfer", async (when) => {
    const before = await received();
    const payment = await pay();
    run(script(payment, when));
    const [job] = await store.settleJobs.open(`eip155:${anvil.chainId}/${sender.address}`);
    expect(job?.state).toBe("broadcast");
    expect((await received()) - before).toBe(when === "before" ? 0n : 1000n);
    const ended = new Promise((resolve) => open({ onEnd: resolve }));
    expect(await ended).toMatchObject({ state: "final", transaction: job?.state === "broadcast" ? job.hash : "" });
    expect((await received()) - before).toBe(1000n);
  });
});

test("a nonce gap is filled, so that what lies behind it is mined", async () => {
  const payment = await pay();
  const key = "gap";
  const plan = planSettlement(payment);
  const name = `eip155:${anvil.chainId}/${sender.address}`;
  await store.settleJobs.enqueue({ key, kind: "settle", sender: name, plan: plan as never, now: 1 });
  const fees = { gas: 200_000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n };
  const raw = await sender.signTransaction({
    chainId: anvil.chainId,
    nonce: 2,
    to: plan.token,
    data: callData(plan),
    ...fees,
  });
  const { keccak256, fromHex } = await import("@countersign/core");
  await store.settleJobs.sign(key, { raw, hash: `0x${toHex(keccak256(fromHex(raw.slice(2))))}`, nonce: 2 });
  expect(await new Promise((resolve) => open({ onEnd: resolve }))).toMatchObject({ state: "final" });
});

test("a refund is paid once for its reference, and its debt is cleared", async () => {
  const { address: token } = deployment.token;
  await mint(anvil.rpc, faucet, token, sender.address, 5000n);
  const queue = open();
  const refund = {
    to: openWallet(generatePrivateKey()).address,
    amount: "700",
    token,
    reason: "stream failed",
    reference: "r1",
  };
  const [one, two] = await Promise.all([queue.refund(refund), queue.refund(refund)]);
  expect(two).toEqual(one);
  expect(await readBalance(anvil.rpc, token, refund.to)).toBe(700n);
  expect(await store.debts.total("us", token)).toBe(0n);
  expect(await code(queue.refund({ ...refund, amount: "999999", reference: "r2" }))).toBe("SETTLEMENT_REVERTED");
  expect(await store.debts.total("us", token), "what could not be paid is still owed").toBe(999_999n);
});

test("a refund whose nonce another transaction took is not sent twice: a person must look", async () => {
  const { address: token } = deployment.token;
  await mint(anvil.rpc, faucet, token, sender.address, 5000n);
  let stolen = false;
  const rpc = intercept("eth_sendRawTransaction", async (params) => {
    if (!stolen) {
      stolen = true;
      await sendAndWait(anvil.rpc, sender, { to: faucet.address, value: 1n });
    }
    return anvil.rpc.call("eth_sendRawTransaction", params);
  });
  const queue = open({ rpc, resend: 10 });
  const refund = {
    to: openWallet(generatePrivateKey()).address,
    amount: "700",
    token,
    reason: "late",
    reference: "r3",
  };
  expect(await code(queue.refund(refund))).toBe("SETTLEMENT_FAILED");
  expect(await code(queue.refund(refund))).toBe("SETTLEMENT_FAILED");
  expect(await readBalance(anvil.rpc, token, refund.to)).toBe(0n);
  expect(await store.debts.total("us", token)).toBe(700n);
});
