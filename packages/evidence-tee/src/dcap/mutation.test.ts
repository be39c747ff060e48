import { concat, fromHex } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { obstacleOf } from "../attestation.ts";
import { checkTdx } from "./check.ts";
import { argsOf } from "./dcap.fixture.ts";
import { check, required } from "./refusal.fixture.ts";

describe("a document that was changed", () => {
  test("every flipped bit, and every byte added or cut, is refused", () => {
    // Steps without a common divisor, and parts stand at other places in each form.
    for (const [form, step] of [
      ["sgx-v3", 3],
      ["tdx-v4", 5],
      ["tdx-v5-1.5", 7],
    ] as const) {
      const args = argsOf({ form, padding: new Uint8Array(3) });
      expect(obstacleOf(check(form, args), required)).toBeUndefined();
      for (let i = 0; i < args.document.length; i += step) {
        const document = args.document.slice();
        document[i] = (document[i] as number) ^ (1 << (i % 8));
        if (obstacleOf(check(form, { ...args, document }), required) === undefined) expect.fail(`byte ${i} of ${form}`);
      }
      for (const document of [
        args.document.subarray(0, -4),
        args.document.subarray(1),
        concat(args.document, Uint8Array.of(1)),
      ])
        expect(obstacleOf(check(form, { ...args, document }), required)).toBeDefined();
    }
  });

  test("every flipped bit of the collateral is refused", () => {
    const args = argsOf();
    const data = args.collateral[0]?.data ?? new Uint8Array();
    expect(data.length).toBeGreaterThan(5000);
    for (let i = 0; i < data.length; i += 29) {
      const changed = data.slice();
      changed[i] = (changed[i] as number) ^ (1 << (Math.floor(i / 29) % 8));
      const report = checkTdx({ ...args, collateral: [{ kind: "dcap", data: changed }] });
      if (obstacleOf(report, required) === undefined)
        expect.fail(`byte ${i}: ${String.fromCharCode(...data.subarray(i - 20, i + 20))}`);
    }
  });

  test("the other half of an ECDSA signature is the same attester", () => {
    const args = argsOf({ form: "tdx-v4" });
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const document = args.document.slice();
    const at = 48 + 584 + 4 + 32;
    const s = BigInt(`0x${Buffer.from(document.subarray(at, at + 32)).toString("hex")}`);
    document.set(fromHex((order - s).toString(16).padStart(64, "0")), at);
    const [first, second] = [checkTdx(args), checkTdx({ ...args, document })];
    expect(obstacleOf(second, required)).toBeUndefined();
    expect(second.attester).toBe(first.attester);
    expect(second).toEqual(first);
  });
});
