import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CountersignError } from "@countersign/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStore, type PaymentKey, paymentKeyText, type ReservationRequest } from "./index.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "countersign-store-"));
  file = join(folder, "state.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const hex = (n: number) => n.toString(16).padStart(64, "0");
const key = (n: number): PaymentKey => ({
  network: "eip155:77",
  asset: `0x${"a".repeat(40)}`,
  from: `0x${"b".repeat(40)}`,
  nonce: hex(n),
});
const request = (n: number, change: Partial<ReservationRequest> = {}): ReservationRequest => ({
  paymentKey: key(n),
  offerDigest: hex(1000 + n),
  requestDigest: hex(2000 + n),
  receiptId: hex(3000 + n),
  validBefore: 2_000_000_000,
  now: 1_900_000_000_000,
  ...change,
});
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing thrown",
    (error) => (CountersignError.is(error) ? error.code : error),
  );

describe("reservations", () => {
  test("one authorisation sent five times at once is reserved once", async () => {
    const store = openStore({ file });
    const states = await Promise.all(
      [1, 2, 3, 4, 5].map((i) => store.reservations.reserve(request(1, { receiptId: hex(i) }))),
    );
    expect(states.map((s) => s.state)).toEqual(["reserved", "in-flight", "in-flight", "in-flight", "in-flight"]);
    expect(states[4]).toEqual({ state: "in-flight", receiptId: hex(1), requestDigest: hex(2001) });
    await store.close();
  });

  test("is used once settled, and free again for the same request once released", async () => {
    const store = openStore({ file });
    await store.reservations.reserve(request(1));
    expect(await store.reservations.release(key(1))).toBe(true);
    const other = await store.reservations.reserve(request(1, { requestDigest: hex(9) }));
    expect(other.state).toBe("used");
    expect((await store.reservations.reserve(request(1, { receiptId: hex(8) }))).state).toBe("reserved");
    await store.reservations.complete(key(1));
    expect(await store.reservations.release(key(1))).toBe(false);
    expect(await store.reservations.reserve(request(1))).toEqual({
      state: "used",
      receiptId: hex(8),
      requestDigest: hex(2001),
    });
    await store.close();
  });

  test("is not released while its settlement is under way", async () => {
    const store = openStore({ file });
    await store.reservations.reserve(request(1));
    const job = { key: paymentKeyText(key(1)), kind: "settle", sender: "0x1", plan: {}, now: 1 } as const;
    await store.settleJobs.enqueue(job);
    expect(await store.reservations.release(key(1))).toBe(false);
    await store.settleJobs.fail(job.key, "SETTLEMENT_REVERTED", "test");
    expect(await store.reservations.release(key(1))).toBe(true);
    await store.close();
  });

  test("what a closed store held is found by the next one", async () => {
    const first = openStore({ file });
    await first.reservations.reserve(request(1));
    await first.close();
    const next = openStore({ file });
    expect(next.reservations.recovered.released.map((r) => r.receiptId)).toEqual([hex(3001)]);
    await next.close();
  });

  test("what was taken for an answer that never became whole is found by the next one, until it is made good", async () => {
    const first = openStore({ file });
    for (const n of [1, 2, 3, 4]) await first.reservations.reserve(request(n, { amount: `${n}00` }));
    await first.reservations.complete(key(1));
    await first.reservations.complete(key(2));
    await first.reservations.answer(key(2));
    const job = { kind: "settle", sender: "s", plan: {}, now: 1 } as const;
    await first.settleJobs.enqueue({ key: paymentKeyText(key(3)), ...job });
    await first.close();
    const owed = (store: ReturnType<typeof openStore>) =>
      store.reservations.recovered.unanswered.map((r) => [r.paymentKey.nonce, r.amount]).sort();
    const second = openStore({ file });
    expect(owed(second)).toEqual([
      [hex(1), "100"],
      [hex(3), "300"],
    ]);
    await second.reservations.answer(key(3));
    await second.close();
    const third = openStore({ file });
    expect(owed(third)).toEqual([[hex(1), "100"]]);
    await third.close();
  });

  test("count together per payer, those that came first alone", async () => {
    const store = openStore({ file });
    const other = { ...key(9), from: `0x${"c".repeat(40)}` };
    await store.reservations.reserve({ ...request(9, { amount: "7" }), paymentKey: other });
    for (const n of [1, 2, 3]) await store.reservations.reserve(request(n, { amount: "10", now: 1000 + n }));
    expect(await store.reservations.outstanding(key(1))).toBe(10n);
    expect(await store.reservations.outstanding(key(3))).toBe(30n);
    await store.reservations.complete(key(1));
    await store.reservations.release(key(2));
    expect(await store.reservations.outstanding(key(3))).toBe(10n);
    expect(await store.reservations.outstanding(other)).toBe(7n);
    await store.close();
  });

  test("is forgotten a week after its authorisation ended, never while it is in flight", async () => {
    const store = openStore({ file });
    await store.reservations.reserve(request(1));
    await store.reservations.reserve(request(2));
    await store.reservations.complete(key(1));
    await store.purge((2_000_000_000 + 7 * 86_400) * 1000);
    expect((await store.reservations.get(key(1)))?.state).toBe("settled");
    await store.purge((2_000_000_001 + 7 * 86_400) * 1000);
    expect(await store.reservations.get(key(1))).toBeUndefined();
    expect((await store.reservations.get(key(2)))?.state).toBe("reserved");
    await store.close();
  });

  test("many at once share few transactions", async () => {
    const store = openStore({ file });
    const before = store.commits();
    const states = await Promise.all(Array.from({ length: 500 }, (_, i) => store.reservations.reserve(request(i))));
    expect(states.every((s) => s.state === "reserved")).toBe(true);
    expect(store.commits() - before).toBeLessThanOrEqual(2);
    await store.close();
  });

  test("what a killed process held is released, or resumable where its settlement is under way", {
    timeout: 30_000,
  }, async () => {
    const script = `
      import { openStore, paymentKeyText } from ${JSON.stringify(new URL("./index.ts", import.meta.url).href)};
      const store = openStore({ file: ${JSON.stringify(file)} });
      const [one, two] = ${JSON.stringify([request(1), request(2)])};
      await Promise.all([store.reservations.reserve(one), store.reservations.reserve(two)]);
      await store.settleJobs.enqueue({ key: paymentKeyText(two.paymentKey), kind: "settle", sender: "0x1", plan: {}, now: 1 });
      process.kill(process.pid, "SIGKILL");`;
    expect(() => execFileSync(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore" })).toThrow();
    const store = openStore({ file });
    const { released, resumable } = store.reservations.recovered;
    expect(released.map((r) => r.paymentKey.nonce)).toEqual([hex(1)]);
    expect(resumable.map((r) => r.paymentKey.nonce)).toEqual([hex(2)]);
    expect((await store.reservations.reserve(request(1))).state).toBe("reserved");
    expect((await store.reservations.reserve(request(2))).state).toBe("in-flight");
    const second = openStore({ file });
    expect(second.reservations.recovered, "a living handle is not dead").toEqual({
      released: [],
      resumable: [],
      unanswered: [],
    });
    await second.close();
    await store.close();
  });
});

test("a store that is closed while writes wait commits them, and touches the file no more", async () => {
  const store = openStore({ file });
  const waiting = Array.from({ length: 1500 }, (_, n) => store.facts.set(`f${n}`, n));
  await store.close();
  // What went wrong here went wrong in the next turn of the loop, as an exception that ended the process.
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  await Promise.all(waiting);
  expect(await code(store.facts.set("late", 1))).toBe("INTERNAL");
  const next = openStore({ file });
  expect(await next.facts.get("f1499")).toBe(1499);
  await next.close();
});

describe("client nonces", () => {
  test("are used once under an offer, by one holder", async () => {
    const store = openStore({ file });
    const use = { clientNonce: hex(1), offerDigest: hex(2), holder: "a", expires: 10 };
    await store.nonces.use(use);
    await store.nonces.use(use);
    expect(await code(store.nonces.use({ ...use, holder: "b" }))).toBe("NONCE_REPLAYED");
    await store.nonces.use({ ...use, offerDigest: hex(3), holder: "b" });
    await store.close();
  });

  test("a replay within a reservation reserves nothing", async () => {
    const store = openStore({ file });
    await store.reservations.reserve(request(1, { clientNonce: hex(7), offerDigest: hex(1) }));
    const replay = store.reservations.reserve(request(2, { clientNonce: hex(7), offerDigest: hex(1) }));
    const neighbour = store.reservations.reserve(request(3));
    expect(await code(replay)).toBe("NONCE_REPLAYED");
    expect((await neighbour).state).toBe("reserved");
    expect(await store.reservations.get(key(2))).toBeUndefined();
    await store.close();
  });
});

describe("receipts", () => {
  const receipt = { receiptId: hex(1), receiptRoot: hex(2), body: new TextEncoder().encode('{"a":1}'), madeAt: 5 };

  test("are the same bytes after a restart", async () => {
    const first = openStore({ file });
    await first.receipts.put(receipt);
    await first.receipts.appendEvidence(hex(2), new Uint8Array([1]), 6);
    expect(await first.receipts.appendEvidence(hex(2), new Uint8Array([1]), 7)).toBe(false);
    await first.receipts.appendEvidence(hex(2), new Uint8Array([2]), 8);
    await first.close();
    const again = openStore({ file });
    expect(await again.receipts.get(hex(1))).toEqual({ ...receipt, version: 1 });
    expect(await again.receipts.getByRoot(hex(2))).toEqual({ ...receipt, version: 1 });
    expect(await again.receipts.evidence(hex(2))).toEqual([new Uint8Array([1]), new Uint8Array([2])]);
    expect(await again.receipts.get(hex(3))).toBeUndefined();
    await again.close();
  });

  test("one id and one root name one receipt, and a change is atomic", async () => {
    const store = openStore({ file });
    await store.receipts.put(receipt);
    await store.receipts.put(receipt);
    expect(await code(store.receipts.put({ ...receipt, body: new Uint8Array([9]) }))).toBe("NONCE_REPLAYED");
    expect(await code(store.receipts.put({ ...receipt, receiptId: hex(4) }))).toBe("NONCE_REPLAYED");
    const add = (body: Uint8Array) => new Uint8Array([...body, 33]);
    await Promise.all([store.receipts.update(hex(1), add), store.receipts.update(hex(1), add)]);
    expect(new TextDecoder().decode((await store.receipts.get(hex(1)))?.body)).toBe('{"a":1}!!');
    expect(await code(store.receipts.update(hex(9), add))).toBe("RECEIPT_NOT_FOUND");
    await store.close();
  });
});

test("answers are read by payment and request, expire, and stay within their bound", async () => {
  const store = openStore({ file, answerLimits: { one: 100, all: 150 } });
  const answer = { status: 200, headers: [["content-type", "text/plain"]] as const, body: new Uint8Array(40) };
  expect(await store.answers.put(key(1), hex(1), answer, 1000)).toBe(true);
  expect(await store.answers.get(key(1), hex(1), 999)).toEqual(answer);
  expect(await store.answers.get(key(1), hex(2), 999)).toBeUndefined();
  expect(await store.answers.get(key(1), hex(1), 1000)).toBeUndefined();
  expect(await store.answers.put(key(2), hex(1), { ...answer, body: new Uint8Array(101) }, 1000)).toBe(false);
  await store.answers.put(key(2), hex(1), answer, 2000);
  await store.answers.put(key(3), hex(1), answer, 3000);
  expect(await store.answers.get(key(1), hex(1), 0), "the first to expire made room").toBeUndefined();
  expect(await store.answers.purge(2500)).toBe(1);
  expect(await store.answers.get(key(3), hex(1), 0)).toEqual(answer);
  await store.close();
});

test("a forgotten answer is no longer in the file", async () => {
  const store = openStore({ file });
  const body = new TextEncoder().encode("a private answer ".repeat(2000));
  await store.answers.put(key(1), hex(1), { status: 200, headers: [], body }, 10);
  await store.answers.purge(20);
  await store.close();
  expect(readFileSync(file).includes("private answer")).toBe(false);
});

test("offers, debts and facts keep what they are given", async () => {
  const store = openStore({ file });
  const envelope = { payloadType: "t", payload: "", signatures: [{ keyid: "k", sig: "s" }] };
  await store.offers.put(hex(1), envelope, { clientNonce: hex(2) }, 100);
  expect(await store.offers.get(hex(1))).toEqual({ envelope, facts: { clientNonce: hex(2) }, expires: 100 });
  expect(await store.offers.purge(101)).toBe(1);
  expect(await store.offers.get(hex(1))).toBeUndefined();
  const debt = {
    reference: "r",
    debtor: "us",
    party: "0x1",
    asset: "0x2",
    amount: "5",
    reason: "unmet",
    madeAt: 1,
  } as const;
  expect(await store.debts.add(debt)).toBe(true);
  expect(await store.debts.add(debt)).toBe(false);
  await store.debts.add({ ...debt, reference: "q", amount: "7", party: "0x9" });
  expect(await store.debts.total("us", "0x2")).toBe(12n);
  expect(await store.debts.total("us", "0x2", "0x1")).toBe(5n);
  expect(await store.debts.clear("r", "0xtx")).toBe(true);
  expect((await store.debts.open("us")).map((d) => d.reference)).toEqual(["q"]);
  await store.facts.set("checkpoint", { size: 3 });
  await store.facts.set("checkpoint", { size: 4 });
  expect(await store.facts.get("checkpoint")).toEqual({ size: 4 });
  await store.facts.remove("checkpoint");
  expect(await store.facts.get("checkpoint")).toBeUndefined();
  await store.close();
});

test("settle jobs move through their states and no other way", async () => {
  const store = openStore({ file });
  const { settleJobs } = store;
  const job = { key: "k", kind: "settle", sender: "0x1", plan: { to: "x" }, now: 1 } as const;
  const at = { transaction: "0xt", block: 3, blockHash: "0xb" };
  expect((await settleJobs.enqueue(job)).state).toBe("queued");
  await settleJobs.sign("k", { raw: "0xr", hash: "0xh", nonce: 4 });
  expect(await settleJobs.highestNonce("0x1")).toBe(4);
  await settleJobs.sign("k", { raw: "0xr2", hash: "0xh2", nonce: 4 });
  expect(await settleJobs.enqueue(job)).toMatchObject({ state: "broadcast", hash: "0xh2", hashes: ["0xh"] });
  expect(await code(settleJobs.reopen("k"))).toBe("INTERNAL");
  await settleJobs.include("k", at);
  await settleJobs.reopen("k");
  await settleJobs.include("k", at);
  await settleJobs.finish("k", at);
  expect(await settleJobs.get("k")).toMatchObject({ state: "final", ...at });
  expect(await code(settleJobs.fail("k", "SETTLEMENT_FAILED", "late"))).toBe("INTERNAL");
  expect(await settleJobs.open("0x1")).toEqual([]);
  await store.close();
});

describe("a damaged file", () => {
  test("that is no database", async () => {
    writeFileSync(file, "this is no database, whatever its name says".repeat(50));
    expect(await code((async () => openStore({ file }))())).toBe("STORE_CORRUPT");
  });

  test("whose pages were overwritten", async () => {
    const store = openStore({ file });
    await Promise.all(Array.from({ length: 400 }, (_, i) => store.reservations.reserve(request(i))));
    await store.close();
    const { openSync, writeSync, closeSync } = await import("node:fs");
    const handle = openSync(file, "r+");
    writeSync(handle, Buffer.alloc(30_000, 0xff), 0, 30_000, 30_000);
    closeSync(handle);
    expect(await code((async () => openStore({ file }))())).toBe("STORE_CORRUPT");
  });

  test("that a newer version wrote", async () => {
    await openStore({ file }).close();
    const db = new DatabaseSync(file);
    db.exec("INSERT INTO migrations (version, applied_at) VALUES (99, 0)");
    db.close();
    expect(await code((async () => openStore({ file }))())).toBe("STORE_CORRUPT");
  });
});
