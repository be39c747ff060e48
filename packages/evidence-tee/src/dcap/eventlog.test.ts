import { createHash } from "node:crypto";
import { fromHex, utf8 } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { type Collateral, obstacleOf } from "../attestation.ts";
import { checkTdx } from "./check.ts";
import { argsOf, dcapOf, makeDcap } from "./dcap.fixture.ts";
import { readEventLog, replayEvents } from "./eventlog.ts";
import { failureOf, required } from "./refusal.fixture.ts";

const sha384 = (...parts: (Uint8Array | string)[]) => {
  const hash = createHash("sha384");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};
const type = 0x08000001;
const boot = (imr: number, digest: string) => ({
  imr,
  event_type: 4,
  digest,
  event: "",
  event_payload: "00000000",
});
const v1 = (event: string, payload: string) => ({
  imr: 3,
  event_type: type,
  digest: sha384(Uint8Array.of(1, 0, 0, 8), ":", event, ":", fromHex(payload)),
  event,
  event_payload: payload,
});
const v2 = (event: string, payload: string) => ({
  ...v1(event, payload),
  digest: sha384(`{"name":${JSON.stringify(event)},"payload":"${payload}","type":${type}}`),
  version: 2,
});
type Event = ReturnType<typeof v1> | ReturnType<typeof v2> | Record<string, unknown>;

const log: readonly Event[] = [
  boot(0, sha384("firmware")),
  boot(1, sha384("kernel")),
  boot(0, sha384("tables")),
  boot(2, sha384("command line")),
  v1("app-id", "0102"),
  v2("compose-hash", "ab".repeat(32)),
  { ...v1("instance-id", "03"), digest: "" },
];
const bytesOf = (events: unknown): Uint8Array => utf8(JSON.stringify(events));
const registers = replayEvents(readEventLog(bytesOf(log))).registers;

/** Writes the log's registers into a domain's report. */
const measured = (body: Uint8Array) => {
  for (const [i, register] of registers.entries()) body.set(fromHex(register), 328 + 48 * i);
};
/** A quote whose registers are the log's, with any log beside it. */
function judgeLog(events: unknown, ...more: Collateral[]) {
  const { document, collateral } = makeDcap({ body: measured });
  const data = events instanceof Uint8Array ? events : bytesOf(events);
  const over = { document, collateral: [dcapOf(collateral), { kind: "event-log" as const, data }, ...more] };
  return checkTdx(argsOf({}, over));
}
const changed = (at: number, change: Record<string, unknown>) =>
  log.map((event, i) => (i === at ? { ...event, ...change } : event));

describe("an event log", () => {
  test("is measured again, and what RTMR3 says is shown with its place", () => {
    const report = judgeLog(log);
    expect(obstacleOf(report, [...required, "eventlog"])).toBeUndefined();
    expect(report.facts).toMatchObject({
      "event 0 app-id": "0102",
      "event 1 compose-hash": "ab".repeat(32),
      "event 2 instance-id": "03",
    });
    const extend = (register: Uint8Array, digest: string) => fromHex(sha384(register, fromHex(digest)));
    const zero = new Uint8Array(48);
    expect(registers[0]).toBe(Buffer.from(extend(extend(zero, sha384("firmware")), sha384("tables"))).toString("hex"));
    expect(registers[3]).toBe(report.runtime.rtmr3);
  });

  test("that is not there proves nothing", () => {
    const report = checkTdx(argsOf());
    expect(report.checks.find((c) => c.id === "eventlog")?.result).toBe("not-run");
    expect(obstacleOf(report, [...required, "eventlog"])).toMatchObject({ code: "TEE_CHECK_SKIPPED" });
  });

  test("may say what each digest is taken of", () => {
    const hash_input = Buffer.from(`\x01\0\0\x08:app-id:\x01\x02`, "latin1").toString("hex");
    expect(obstacleOf(judgeLog(changed(4, { hash_input })), ["eventlog"])).toBeUndefined();
    const other = judgeLog(changed(4, { hash_input: `${hash_input}00` }));
    expect(failureOf(other)).toMatchObject({ code: "TEE_EVENTLOG_MISMATCH" });
  });

  test.each([
    ["an event missing", log.slice(1)],
    ["an event more", [...log, v1("app-id", "ff")]],
    ["events in another order", [...log.slice(0, 4), log[5], log[4], log[6]]],
    ["another payload under the same digest", changed(4, { event_payload: "0103" })],
    ["another name under the same digest", changed(5, { event: "app-id" })],
    ["another payload without a digest", changed(6, { event_payload: "04" })],
    ["another digest", changed(0, { digest: sha384("other") })],
    ["another digest beside the right content", changed(4, { digest: sha384("other") })],
    ["version 2 read as version 1", changed(5, { version: 1 })],
    ["a boot event without a digest", changed(0, { digest: "" })],
    ["a boot event in RTMR3", changed(6, { event_type: 4, digest: sha384("x") })],
    ["a runtime event in RTMR2", changed(3, { event_type: type })],
    ["a runtime event moved to another register", changed(4, { imr: 2 })],
    ["no events", []],
  ])("with %s is refused", (_what, events) => {
    expect(failureOf(judgeLog(events))).toMatchObject({ id: "eventlog", code: "TEE_EVENTLOG_MISMATCH" });
  });

  test("holds only content in RTMR3, and content nowhere else", () => {
    for (const event of [{ ...boot(3, sha384("x")) }, { ...v1("app-id", "01"), imr: 2 }])
      expect(() => replayEvents(readEventLog(bytesOf([event])))).toThrow("another register's type");
  });

  test("with a colon in a name of version 1 is refused: one digest would stand for several events", () => {
    const [a, b] = [v1("key:a", "62"), v1("key", Buffer.from("a:b").toString("hex"))];
    expect(a.digest).toBe(b.digest);
    expect(() => replayEvents(readEventLog(bytesOf([a])))).toThrow("colon");
    expect(replayEvents(readEventLog(bytesOf([v2("key:a", "62")]))).events).toEqual([{ name: "key:a", payload: "62" }]);
  });

  test.each([
    ["no JSON", utf8("[")],
    ["no array", bytesOf({})],
    ["a key twice", utf8(JSON.stringify(log).replace('{"imr":0', '{"imr":1,"imr":0'))],
    ["a register that is not there", bytesOf(changed(0, { imr: 4 }))],
    ["a short digest", bytesOf(changed(0, { digest: "00" }))],
    ["a payload that is no hex", bytesOf(changed(4, { event_payload: "0" }))],
    ["an unknown member", bytesOf(changed(4, { note: 1 }))],
    ["a version that is not known", bytesOf(changed(5, { version: 3 }))],
    ["too many bytes", utf8(JSON.stringify(log) + " ".repeat(1_048_576))],
  ])("that has %s cannot be read", (_what, data) => {
    expect(failureOf(judgeLog(data))).toMatchObject({ id: "eventlog", code: "TEE_EVIDENCE_MALFORMED" });
  });

  test("two of them are one too many", () => {
    const second = { kind: "event-log" as const, data: bytesOf(log) };
    expect(failureOf(judgeLog(log, second))).toMatchObject({ id: "eventlog", code: "TEE_EVIDENCE_MALFORMED" });
  });

  test("a flipped bit that is accepted changes nothing that anybody reads", () => {
    const data = bytesOf(log);
    const plain = replayEvents(readEventLog(data));
    for (let i = 0; i < data.length; i++) {
      const flipped = data.slice();
      flipped[i] = (flipped[i] as number) ^ (1 << (i % 8));
      let again: typeof plain;
      try {
        again = replayEvents(readEventLog(flipped));
      } catch {
        continue;
      }
      // Types and payloads of boot events are in no digest, and are not shown.
      if (again.registers.join() === plain.registers.join()) expect(again.events).toEqual(plain.events);
    }
  });
});
