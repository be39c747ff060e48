import { decodeEntry, fromHex } from "@countersign/core";
import { expect, test } from "vitest";
import { codesOf, find, honest, judgeIt } from "./receipts.ts";
import { chatBody, send, useWorld } from "./worlds.ts";

const world = useWorld();

test("L8: a receipt without a proof of its entry says so, and is not met where the log is asked for", () => {
  const verdict = judgeIt({ ...honest.receipt, inclusion: [] }, { policy: "signature & logged" });
  expect(verdict.outcome).toBe("unmet");
  expect(find(verdict, "logged", "log")).toBe("unproven");
  expect(codesOf(verdict)).toContain("INCLUSION_MISSING");
});

test("L8: everything is logged as a salted leaf, also what is private, and also what was not met", async () => {
  // What the nodes serve is logged as well, when the gateway first looks at them: only receipts are counted here.
  const entries = async () =>
    (
      (await (await fetch(`${world.url()}/v1/log/entries`)).json()) as { entries: { kind: string; bytes: string }[] }
    ).entries.filter((e) => e.kind === "receipt");
  const before = (await entries()).length;
  await (await send(world.url(), chatBody(), { headers: { "x-settlement-type": "private" } })).text();
  world.get().node.behave({ recommit: (c) => ({ ...c, output: [new TextEncoder().encode("x"), new Uint8Array()] }) });
  expect(await world.refused(chatBody())).toBe("422 OUTPUT_MISMATCH");
  let now = await entries();
  for (const last = performance.now() + 10_000; now.length < before + 2; now = await entries()) {
    expect(performance.now()).toBeLessThan(last);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const kinds = now.slice(before).map(({ bytes }) => decodeEntry(fromHex(bytes)).kind);
  expect(kinds).toEqual(["receipt", "receipt"]);
});
