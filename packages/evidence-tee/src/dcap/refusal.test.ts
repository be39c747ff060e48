import { describe, expect, test } from "vitest";
import { checkSgx, checkTdx } from "./check.ts";
import { argsOf } from "./dcap.fixture.ts";
import { levelRefusals } from "./level-refusals.fixture.ts";
import { quoteRefusals } from "./quote-refusals.fixture.ts";
import { failureOf, judge } from "./refusal.fixture.ts";

describe("a quote that does not hold", () => {
  const rows = [...quoteRefusals, ...levelRefusals].map(([what, id, code, edit, over]) => ({
    what,
    id,
    code,
    edit,
    over,
  }));
  test.each(rows)("$what fails at $id with $code", ({ id, code, edit, over }) => {
    const report = judge(edit, over);
    expect(failureOf(report)).toMatchObject({ id, code });
    const order = report.checks.map((c) => c.id);
    const after = report.checks.slice(order.indexOf(id) + 1);
    expect(after.every((c) => c.result === "not-run")).toBe(true);
    // Only a chain that carries the signature gives assurance.
    if (order.indexOf(id) <= order.indexOf("signature")) expect(report.assurance).toBeNull();
  });

  test("what opens a domain is said by its name", () => {
    const why = (at: number, value: number) => failureOf(judge({ body: (b) => b.set([value], at) }))?.why;
    expect(why(123, 0x30)).toContain("MIGRATABLE");
    expect(why(123, 0)).toContain("SEPT_VE_DISABLE");
    expect(why(122, 0x80)).toContain("not known");
    const enclave = judge({ form: "sgx-v3", body: (b) => b.set([0x15], 48) });
    expect(failureOf(enclave)?.why).toContain("PROVISIONKEY");
  });

  test("each kind refuses the other's quotes", () => {
    expect(failureOf(checkSgx(argsOf()))).toMatchObject({ id: "form", code: "TEE_EVIDENCE_MALFORMED" });
    expect(failureOf(checkTdx(argsOf({ form: "sgx-v3" })))).toMatchObject({
      id: "form",
      code: "TEE_EVIDENCE_MALFORMED",
    });
  });
});
