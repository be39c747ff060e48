import { expect, test } from "vitest";
import { honest, judgeIt } from "./receipts.ts";
import { chatBody, useWorld } from "./worlds.ts";

const world = useWorld();

test("E7: a nonce of zeros is no nonce", async () => {
  expect(await world.refused(chatBody(), { "x-countersign-nonce": "0".repeat(64) })).toBe("422 PLACEHOLDER_VALUE");
  for (const short of ["0x", "00", "AB".repeat(32), `${"ab".repeat(32)} `.repeat(2)]) {
    expect(await world.refused(chatBody(), { "x-countersign-nonce": short })).toBe("400 REQUEST_FIELD_INVALID");
  }
});

test.each(["", "0x", "AAAA", Buffer.alloc(64).toString("base64"), Buffer.alloc(32).toString("base64")])(
  "E7: %j is no signature",
  (sig) => {
    const statement = { ...honest.receipt.statement, signatures: [{ keyid: honest.statement.issuer, sig }] };
    expect(judgeIt({ ...honest.receipt, statement }).outcome).not.toBe("met");
  },
);

test("E7: the key of small order that signs everything is no key", () => {
  // Its encoding is the point of order one; under it S = 0, R = the same point checks for any message in many libraries.
  const key = `01${"00".repeat(31)}`;
  const sig = Buffer.from(`01${"00".repeat(63)}`, "hex").toString("base64");
  const payload = JSON.parse(Buffer.from(honest.receipt.statement.payload, "base64").toString());
  payload.predicate.issuer = key;
  const statement = {
    ...honest.receipt.statement,
    payload: Buffer.from(JSON.stringify(payload)).toString("base64"),
    signatures: [{ keyid: key, sig }],
  };
  for (const suite of [undefined, "node"] as const) {
    const verdict = judgeIt({ ...honest.receipt, statement }, suite === undefined ? { suite: undefined } : {});
    expect(verdict.checks.find((c) => c.id === "statement.signature")?.status).toBe("failed");
    expect(verdict.outcome).not.toBe("met");
  }
});
