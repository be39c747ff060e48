import { expect, test } from "vitest";
import { platformWords } from "./platform-words.ts";

test("Intel's statuses are named in policy spelling, without the one that is never accepted", () => {
  expect(platformWords.sgx.statuses).toEqual([
    "sw-hardening-needed",
    "configuration-needed",
    "configuration-and-sw-hardening-needed",
    "out-of-date",
    "out-of-date-configuration-needed",
  ]);
  expect(platformWords.tdx.statuses).toContain("td-relaunch-advised");
  for (const { statuses } of Object.values(platformWords)) expect(statuses).not.toContain("revoked");
});
