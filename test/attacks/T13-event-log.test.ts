import { createHash } from "node:crypto";
import { fromHex, utf8 } from "@countersign/core";
import { expect, test } from "vitest";
import { argsOf, dcapOf, makeDcap } from "../../packages/evidence-tee/src/dcap/dcap.fixture.ts";
import { certifiedKey, events, logOf, makeDocument, wanted } from "../../packages/evidence-tee/src/tpm/tpm.fixture.ts";
import { refusalOfDocument } from "./documents.ts";

const type = 0x08000001;
const sha384 = (...parts: (Uint8Array | string)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha384")).digest();
const digestOf = (name: string, payload: string) =>
  sha384(Uint8Array.of(1, 0, 0, 8), ":", name, ":", fromHex(payload)).toString("hex");
const event = (name: string, payload: string) => ({
  imr: 3,
  event_type: type,
  digest: digestOf(name, payload),
  event: name,
  event_payload: payload,
});
const honest = [event("app-id", "0102"), event("compose-hash", "ab".repeat(32))];
const extend = (register: Uint8Array, digest: string) => sha384(register, fromHex(digest));
const rtmr3 = honest.reduce<Uint8Array>((r, e) => extend(r, e.digest), new Uint8Array(48));

/** A quote whose RTMR3 is the honest log's, with any log beside it. */
function judge(log: readonly object[]) {
  const body = (b: Uint8Array) => {
    b.fill(0, 328, 472);
    b.set(rtmr3, 472);
  };
  const { document, collateral } = makeDcap({ body });
  const data = utf8(JSON.stringify(log));
  const over = { document, collateral: [dcapOf(collateral), { kind: "event-log" as const, data }] };
  return refusalOfDocument("tdx", argsOf({}, over), ["eventlog"]);
}
const with1 = (change: object) => [honest[0] as object, { ...honest[1], ...change }];

test("T13: the log that was measured replays", () => expect(judge(honest)).toBe("accepted"));

test("T13: another payload under the old digest: the digest is not believed", () => {
  expect(judge(with1({ event_payload: "cd".repeat(32) }))).toBe("TEE_EVENTLOG_MISMATCH");
  expect(judge(with1({ event: "other-name" }))).toBe("TEE_EVENTLOG_MISMATCH");
});

test("T13: another payload with its own digest gives another register", () => {
  expect(judge([honest[0] as object, event("compose-hash", "cd".repeat(32))])).toBe("TEE_EVENTLOG_MISMATCH");
});

test("T13: events left out, repeated or in another order", () => {
  expect(judge(honest.slice(1))).toBe("TEE_EVENTLOG_MISMATCH");
  expect(judge([...honest, ...honest])).toBe("TEE_EVENTLOG_MISMATCH");
  expect(judge([...honest].reverse())).toBe("TEE_EVENTLOG_MISMATCH");
});

test("T13: a runtime event dressed as a boot event, whose digest would be believed", () => {
  expect(judge(with1({ event_type: 4, event_payload: "cd".repeat(32) }))).not.toBe("accepted");
});

test("T13: so it is for a TPM's log", () => {
  const judgeLog = (list: typeof events) =>
    refusalOfDocument("tpm2", wanted(makeDocument(), [certifiedKey(), logOf(list)]), ["eventlog"]);
  expect(judgeLog(events)).toBe("accepted");
  const edited = events.map((e, i) =>
    i === 2 ? { ...e, payload: Buffer.from("another model").toString("base64") } : e,
  );
  expect(judgeLog(edited)).toBe("TEE_EVENTLOG_MISMATCH");
  expect(judgeLog(events.slice(1))).toBe("TEE_EVENTLOG_MISMATCH");
});
