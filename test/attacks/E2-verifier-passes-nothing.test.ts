import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeSuite } from "@countersign/core/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { trust } from "../fixtures/receipt.ts";
import { honest, judgeIt } from "./receipts.ts";

const bin = join(import.meta.dirname, "..", "..", "packages", "cli", "bin", "countersign.js");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "countersign-e2-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const verifyFile = (text: string, trusted = true) => {
  writeFileSync(join(folder, "receipt.json"), text);
  writeFileSync(join(folder, "trust.json"), JSON.stringify(trust));
  const more = trusted ? ["--trust", join(folder, "trust.json"), "--allow-development"] : [];
  const at = String(Math.floor(honest.statement.issuedAt / 1000) + 5);
  return spawnSync(process.execPath, [bin, "verify", join(folder, "receipt.json"), "--at", at, "--json", ...more], {
    encoding: "utf8",
  });
};

test.each(["{}", "null", "", '{"format":"countersign/receipt/v1"}', JSON.stringify(honest.receipt).slice(0, 400)])(
  "E2: the command line does not exit 0 for %j",
  (text) => {
    expect(verifyFile(text).status).toBe(2);
  },
);

test("E2: nor for an honest receipt that nobody vouches for, or whose content is not at hand", () => {
  expect(verifyFile(JSON.stringify(honest.receipt), false).status).toBe(2);
  expect(verifyFile(JSON.stringify(honest.receipt)).status).toBe(2);
});

test("E2: a check that throws is a check that did not run", () => {
  const suite = {
    ...nodeSuite,
    verifyEd25519: () => {
      throw new TypeError("boom");
    },
  };
  const verdict = judgeIt(honest.receipt, { suite });
  expect(verdict.outcome).not.toBe("met");
  // A throw deeper in, where nobody foresaw one.
  const hostile = new Proxy(honest.delivered, {
    get() {
      throw new TypeError("boom");
    },
  });
  const thrown = judgeIt(honest.receipt, { delivered: hostile });
  expect(thrown.outcome).toBe("unmet");
  expect(thrown.checks.flatMap((c) => c.code ?? [])).toContain("CHECK_FAILED_TO_RUN");
});
