import { expect, test } from "vitest";
import { edited, judgeEnclave, makeEnclave, makeEnclaveReceipt, outcomeOf, trusting } from "../fixtures/enclave.ts";
import { makeReceipt } from "../fixtures/receipt.ts";
import { codesOf, find, judgeIt } from "./receipts.ts";
import { chatBody, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("O3: a relay sells `origin`, never a level that says which model answered", async () => {
  for (const level of ["signature", "tee", "zkml", "reexecution"]) {
    expect(await world.refused(chatBody({ model: `relay-model:${level}` }))).toBe("412 ASSURANCE_NOT_OFFERED");
  }
  expect((await send(world.url(), chatBody({ model: "relay-model:origin" }))).status).toBe(200);
});

test("O3: a receipt of a relay proves no model and no execution, whatever it calls bought", () => {
  const { receipt, delivered } = makeReceipt({ statement: { scope: "origin" } });
  const verdict = judgeIt(receipt, { delivered });
  expect(find(verdict, "model")).toBe("unproven");
  expect(find(verdict, "execution")).toBe("unproven");
  expect(verdict.outcome).toBe("unmet");
  expect(judgeIt(receipt, { delivered, policy: "tee" }).outcome).not.toBe("met");
});

test("O3: an attested proxy is genuine, and grounds what it got, never which model gave it", () => {
  const proxy = makeEnclave({ keyset: { scope: "proxy", models: [] } });
  expect(outcomeOf(judgeEnclave(proxy))).toBe("accepted");
  const { receipt, delivered } = makeEnclaveReceipt(proxy);
  const judge = (policy: string) => judgeIt(receipt, { delivered, policy, trust: trusting() });
  expect(judge("tee").outcome).toBe("unmet");
  expect(codesOf(judge("tee"))).toContain("TEE_SCOPE_PROXY_ONLY");
  for (const claim of ["model", "execution", "prompt"] as const)
    expect(find(judge("tee"), claim, "hardware")).toBe("unproven");
  expect(judge("origin:hardware").outcome).toBe("met");
});

test("O3: a proxy that names a model, or calls itself inference afterwards", () => {
  const named = makeEnclave({ keyset: { scope: "proxy" } });
  const { receipt, delivered } = makeEnclaveReceipt(named);
  expect(codesOf(judgeIt(receipt, { delivered, policy: "tee", trust: trusting() }))).toContain("TEE_SCOPE_PROXY_ONLY");
  const dressed = edited(named, (b) => ({ ...b, keyset: { ...b.keyset, scope: "inference" } }));
  expect(outcomeOf(judgeEnclave(dressed))).toBe("TEE_REPORT_DATA_MISMATCH");
});

test("O3: an enclave that holds the model and relayed another host's answer all the same", () => {
  const { receipt, delivered } = makeEnclaveReceipt(makeEnclave(), { statement: { scope: "origin" } });
  const verdict = judgeIt(receipt, { delivered, policy: "tee", trust: trusting() });
  expect(codesOf(verdict)).toContain("TEE_SCOPE_PROXY_ONLY");
  expect(verdict.outcome).not.toBe("met");
});
