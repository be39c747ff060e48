import { attestationFormats } from "@countersign/core";
import { type CheckId, checkTitles, formats, obstacleOf } from "@countersign/evidence-tee";
import { expect, test } from "vitest";
import { makeIssuer, wanted as wantedToken } from "../../packages/evidence-tee/src/token/token.fixture.ts";
import { bareKey, certifiedKey, makeDocument, wanted } from "../../packages/evidence-tee/src/tpm/tpm.fixture.ts";
import { refusalOfDocument } from "./documents.ts";

test("E3: a TPM quote whose key nobody certified is sound and proves nothing", () => {
  expect(refusalOfDocument("tpm2", wanted(makeDocument(), [certifiedKey()]))).toBe("accepted");
  expect(refusalOfDocument("tpm2", wanted(makeDocument(), [bareKey()]))).toBe("TEE_CHECK_SKIPPED");
});

test("E3: a token without its issuer's key set", () => {
  const args = wantedToken(new Uint8Array(), "confidential-space", makeIssuer("RS256").jwks);
  expect(refusalOfDocument("confidential-space", { ...args, collateral: [] })).not.toBe("accepted");
});

test("E3: a measurement that nobody compared does not count where it is asked for", () => {
  const args = wanted(makeDocument(), [certifiedKey()]);
  expect(refusalOfDocument("tpm2", args, ["measurement"])).toBe("TEE_CHECK_SKIPPED");
});

test("E3: every format requires what makes it evidence, and nothing required is nothing shown", () => {
  for (const format of attestationFormats) {
    const required: readonly CheckId[] = formats[format].required;
    for (const id of ["form", "algorithm", "root", "signature"] as const) expect(required, format).toContain(id);
    expect(new Set(required).size).toBe(required.length);
  }
  const all = Object.entries(checkTitles).map(([id, title]) => ({
    id: id as CheckId,
    title,
    result: "passed" as const,
    why: "",
  }));
  expect(obstacleOf({ checks: all }, [])?.code).toBe("TEE_CHECK_SKIPPED");
  // Dropping any one sub-check from the report is not a pass of it.
  for (const { id } of all) {
    const dropped = all.filter((c) => c.id !== id);
    expect(obstacleOf({ checks: dropped }, [id])?.code).toBe("TEE_CHECK_SKIPPED");
    expect(obstacleOf({ checks: all }, [id])).toBeUndefined();
  }
});
