import { measurementId, portableSuite } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { obstacleOf } from "../attestation.ts";
import { makeCertificate } from "../make/certificate.ts";
import { argsOf, binding, type FixtureEdit, makePki, now, pki, type QuoteForm } from "./dcap.fixture.ts";
import { check, failureOf, judge, required } from "./refusal.fixture.ts";

const day = 86_400_000;

const forms: readonly QuoteForm[] = ["tdx-v4", "tdx-v5", "tdx-v5-1.5", "sgx-v3", "sgx-v4", "sgx-v5"];

describe("a quote that holds", () => {
  test.each(forms)("%s passes every check that applies", (form) => {
    const report = judge({ form });
    expect(obstacleOf(report, required)).toBeUndefined();
    expect(report).toMatchObject({
      format: form.slice(0, 3),
      vendor: "Intel",
      assurance: "simulated",
      debug: false,
      producedAt: null,
      tcb: { status: "up-to-date", advisories: [] },
    });
    expect(report.checks.filter((c) => c.result === "not-run").map((c) => c.id)).toEqual([
      "measurement",
      "eventlog",
      "freshness",
    ]);
    expect(report.measurement).toBe(measurementId(report.format, report.registers));
    expect(report.reportData?.subarray(0, 32)).toEqual(binding);
  });

  test("both suites give the same report", () => {
    for (const form of forms) {
      const args = argsOf({ form });
      expect(check(form, { ...args, suite: portableSuite })).toEqual(check(form, { ...args, suite: nodeSuite }));
    }
  });

  test("the registers are compared as a whole, and RTMR3 stands apart where the configuration says what is started", () => {
    const configured = (change: (b: Uint8Array) => void = () => {}) =>
      judge({
        body: (b) => {
          b.set([1], 231);
          change(b);
        },
      });
    const { registers, runtime, measurement } = configured();
    expect(Object.keys(registers)).toEqual(["mrtd", "rtmr0", "rtmr1", "rtmr2", "mrConfigId"]);
    expect(runtime).toEqual({ rtmr3: "04".repeat(48) });
    for (const at of [136, 184, 328, 376, 424]) {
      const other = configured((b) => b.set([9], at));
      expect(other.measurement).not.toBe(measurement);
      expect(obstacleOf(other, required)).toBeUndefined();
    }
    expect(configured((b) => b.set([9], 472)).measurement).toBe(measurement);
  });

  test("an application that only RTMR3 holds is part of what is measured", () => {
    const { registers, measurement } = judge({});
    expect(registers).toMatchObject({ mrConfigId: "00".repeat(48), rtmr3: "04".repeat(48) });
    expect(judge({ body: (b) => b.set([9], 472) }).measurement).not.toBe(measurement);
    const bare = judge({ body: (b) => b.fill(0, 472, 520) });
    expect(Object.keys(bare.registers)).toEqual(["mrtd", "rtmr0", "rtmr1", "rtmr2", "mrConfigId"]);
  });

  test("an SGX enclave's configuration is part of what is measured", () => {
    const plain = judge({ form: "sgx-v3" });
    expect(plain.registers).toEqual({
      mrEnclave: "ee".repeat(32),
      mrSigner: "d5".repeat(32),
      isvProdId: "7",
      isvSvn: "3",
    });
    const configured = judge({ form: "sgx-v3", body: (b) => b.set([1], 192) });
    expect(configured.registers).toMatchObject({ configSvn: "0" });
    expect(configured.measurement).not.toBe(plain.measurement);
  });

  test("measurement lists are obeyed", () => {
    const { measurement } = judge({});
    const id = measurement as string;
    expect(obstacleOf(judge({}, { measurements: [id] }), [...required, "measurement"])).toBeUndefined();
    expect(failureOf(judge({}, { measurements: [] }))).toMatchObject({ code: "TEE_MEASUREMENT_POLICY_EMPTY" });
    expect(failureOf(judge({}, { measurements: ["00".repeat(32)] }))).toMatchObject({
      code: "TEE_MEASUREMENT_UNKNOWN",
    });
    expect(failureOf(judge({}, { measurements: [id], revoked: [id] }))).toMatchObject({
      code: "TEE_MEASUREMENT_REVOKED",
    });
    expect(obstacleOf(judge({}), [...required, "measurement"])).toMatchObject({ code: "TEE_CHECK_SKIPPED" });
  });

  test("what nobody asks is not run, and debug that is looked at is still shown", () => {
    expect(judge({}, { binding: null }).checks.find((c) => c.id === "binding")?.result).toBe("not-run");
    const debug = judge({ body: (b) => b.set([1], 120) }, { allowDebug: true });
    expect(debug.debug).toBe(true);
    expect(obstacleOf(debug, required)).toBeUndefined();
  });

  test("a status and its advisories are accepted only when both are named", () => {
    const edit: FixtureEdit = { pki: makePki({ platform: { components: Array(16).fill(3) } }) };
    const policy = (statuses: string[], advisories: string[]) => ({ tcb: { statuses, advisories, floors: {} } });
    const held = judge(edit, policy(["out-of-date"], ["INTEL-SA-01"]));
    expect(obstacleOf(held, required)).toBeUndefined();
    expect(held.tcb).toMatchObject({ status: "out-of-date", advisories: ["INTEL-SA-01"] });
    for (const p of [
      policy([], []),
      policy(["out-of-date"], []),
      policy([], ["INTEL-SA-01"]),
      policy(["revoked"], ["INTEL-SA-01"]),
    ])
      expect(failureOf(judge(edit, p))).toMatchObject({ id: "tcb", code: "TEE_TCB_OUT_OF_DATE" });
  });

  test("the CA's certificate may have been issued again for the list's chain", () => {
    const { root, ca } = pki;
    const again = makeCertificate({
      subject: "Intel SGX PCK Platform CA",
      issuer: root,
      keyType: { privateKey: ca.key },
      ca: true,
      pathLength: 0,
      serial: 0xca02n,
      notBefore: now - day,
      notAfter: now + day,
    });
    const report = judge({ collateral: (c) => Object.assign(c, { pck_crl_issuer_chain: again.pem + root.pem }) });
    expect(obstacleOf(report, required)).toBeUndefined();
  });
});
