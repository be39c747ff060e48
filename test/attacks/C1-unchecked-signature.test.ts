import * as sdk from "@countersign/sdk";
import * as unsafe from "@countersign/sdk/unsafe";
import { expect, test } from "vitest";
import { keyOf } from "../fixtures/receipt.ts";
import { meet, question, refusalOf } from "./clients.ts";

const stranger = Buffer.from(keyOf("mallory").publicKey).toString("hex");

test("C1: an unsigned receipt, one with an empty signature and one of a stranger are not handed on", async () => {
  for (const receipt of [
    (r: { statement: object }) => ({ ...r, statement: { ...r.statement, signatures: [{ keyid: "", sig: "" }] } }),
    (r: { statement: object }) => ({ ...r, statement: { ...r.statement, signatures: [] } }),
    (r: object) => ({ ...r, keys: [] }),
  ]) {
    expect(
      (await refusalOf(meet({ receipt: receipt as never }).client.chat(question, { policy: "signature" })))[0],
    ).toBe("ASSURANCE_NOT_MET");
  }
  expect(
    (await refusalOf(meet({ statement: { issuer: stranger } }).client.chat(question, { policy: "signature" })))[0],
  ).toBe("ASSURANCE_NOT_MET");
});

test("C1: no option of the client turns the check off; what skips it is in another module by name", () => {
  for (const name of ["verify", "skipVerify", "unsafe", "check", "insecure"]) {
    expect(() => meet({}, { [name]: false } as never)).toThrow(/OPTION_UNKNOWN/);
  }
  expect(Object.keys(sdk).filter((n) => /unsafe|skip|unchecked/i.test(n))).toEqual([]);
  expect(Object.keys(unsafe).length).toBeGreaterThan(0);
});
