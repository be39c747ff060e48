import { describe, expect, test } from "vitest";
import { obstacleOf } from "../attestation.ts";
import { parseCertificate } from "../x509.ts";
import { levelStatuses, readQeIdentity, readTcbInfo } from "./collateral.ts";
import { type FixtureEdit, makeDcap, makePki, pki } from "./dcap.fixture.ts";
import { converge, judgePlatform, judgeQe, policyWord, type Status } from "./level.ts";
import { readPlatform } from "./pck.ts";
import { parseQuote } from "./quote.ts";
import { failureOf, judge, required } from "./refusal.fixture.ts";

const statusOf = (edit: FixtureEdit): string => judge(edit).tcb.status;

describe("convergence", () => {
  // Intel's table in full: what a part that is out of date makes of each level.
  const outOfDate: Readonly<Record<(typeof levelStatuses)[number], Status>> = {
    UpToDate: "OutOfDate",
    SWHardeningNeeded: "OutOfDate",
    ConfigurationNeeded: "OutOfDateConfigurationNeeded",
    ConfigurationAndSWHardeningNeeded: "OutOfDateConfigurationNeeded",
    OutOfDate: "OutOfDate",
    OutOfDateConfigurationNeeded: "OutOfDateConfigurationNeeded",
    Revoked: "Revoked",
  };

  test.each(levelStatuses)("%s with a part of each status", (level) => {
    expect(converge(level, "UpToDate")).toBe(level);
    expect(converge(level, "OutOfDate")).toBe(outOfDate[level]);
    expect(converge(level, "Revoked")).toBe("Revoked");
  });

  test("is no worst-of: hardening and configuration are not lost behind a part that is out of date", () => {
    const edit = (tcbStatus: string): FixtureEdit => ({
      info: (i) => Object.assign(i.tcbLevels[0], { tcbStatus }),
      qe: (b) => b.set([3], 258),
    });
    expect(statusOf(edit("ConfigurationNeeded"))).toBe("out-of-date-configuration-needed");
    expect(statusOf(edit("SWHardeningNeeded"))).toBe("out-of-date");
  });

  test("advisories of platform, module and quoting enclave are joined, each once", () => {
    const { tcb } = judge({
      pki: makePki({ platform: { components: Array(16).fill(3) } }),
      body: (b) => b.set([3], 0),
      qe: (b) => b.set([3], 258),
      info: (i) => i.tcbLevels[1].advisoryIDs.push("INTEL-SA-04"),
    });
    expect(tcb).toMatchObject({
      status: "out-of-date",
      advisories: ["INTEL-SA-01", "INTEL-SA-04", "INTEL-SA-03"],
      components: { platform: "out-of-date", quotingEnclave: "out-of-date", tdxModule: "out-of-date" },
    });
  });

  test("what the quoting enclave's identity calls a need counts as out of date", () => {
    const identity: FixtureEdit["identity"] = (i) => {
      i.tcbLevels[0].tcbStatus = "ConfigurationNeeded";
    };
    expect(statusOf({ identity })).toBe("out-of-date");
  });

  test("the level is the first that fits, not the best or the last", () => {
    const info: FixtureEdit["info"] = (i) => {
      i.tcbLevels[0].tcbStatus = "SWHardeningNeeded";
    };
    expect(statusOf({ info })).toBe("sw-hardening-needed");
  });
});

describe("the TDX module", () => {
  test("the first one is covered by the platform's components", () => {
    const edit: FixtureEdit = {
      body: (b) => b.set([5, 0], 0),
      info: (i) => {
        i.tdxModuleIdentities = undefined;
      },
    };
    expect(obstacleOf(judge(edit), required)).toBeUndefined();
    const old = judge({ ...edit, body: (b) => b.set([4, 0], 0) });
    expect(failureOf(old)).toMatchObject({ id: "tcb", code: "TEE_TCB_OUT_OF_DATE" });
  });

  test("a later one is not compared by them", () => {
    const info: FixtureEdit["info"] = (i) => {
      i.tcbLevels[0].tcb.tdxtcbcomponents[0].svn = 200;
      i.tcbLevels[0].tcb.tdxtcbcomponents[1].svn = 200;
    };
    expect(statusOf({ info })).toBe("up-to-date");
  });
});

describe("advice to relaunch (TDX 1.5)", () => {
  // Started under an old module; the one that runs now is the latest.
  const started = (b: Uint8Array) => b.set([3], 0);
  const form = "tdx-v5-1.5" as const;

  test("is given where only the module at the start is old", () => {
    expect(statusOf({ form, body: started })).toBe("td-relaunch-advised");
    const configuration: FixtureEdit["info"] = (i) => {
      i.tcbLevels[0].tcbStatus = "ConfigurationNeeded";
    };
    expect(statusOf({ form, body: started, info: configuration })).toBe("td-relaunch-advised-configuration-needed");
    expect(failureOf(judge({ form, body: started }))).toMatchObject({ code: "TEE_TCB_OUT_OF_DATE" });
  });

  test("is not given for another reason, or to another form", () => {
    expect(statusOf({ form: "tdx-v5", body: started })).toBe("out-of-date");
    // The module that runs now is old too, or its microcode is.
    for (const at of [584, 586])
      expect(
        statusOf({
          form,
          body: (b) => {
            started(b);
            b.set([4], at);
          },
        }),
      ).toBe("out-of-date");
    expect(statusOf({ form, body: started, qe: (b) => b.set([3], 258) })).toBe("out-of-date");
    const old = makePki({ platform: { components: Array(16).fill(3) } });
    expect(statusOf({ form, body: started, pki: old })).toBe("out-of-date");
  });

  test("needs a module that Intel names", () => {
    const body = (b: Uint8Array) => {
      started(b);
      b.set([7], 585);
    };
    expect(failureOf(judge({ form, body }))).toMatchObject({ id: "tcb", code: "TEE_QE_IDENTITY" });
    const first: FixtureEdit["info"] = (i) => {
      i.tcbLevels[0].tcb.tdxtcbcomponents[0].svn = 5;
    };
    const back = (b: Uint8Array) => {
      started(b);
      b.set([0], 585);
    };
    expect(statusOf({ form, body: back, info: first })).toBe("td-relaunch-advised");
  });
});

test("statuses have one spelling in policies", () => {
  const words = [...levelStatuses, "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"] as const;
  expect(words.map(policyWord)).toEqual([
    "up-to-date",
    "sw-hardening-needed",
    "configuration-needed",
    "configuration-and-sw-hardening-needed",
    "out-of-date",
    "out-of-date-configuration-needed",
    "revoked",
    "td-relaunch-advised",
    "td-relaunch-advised-configuration-needed",
  ]);
});

test("a domain is never judged by levels of SGX, nor an enclave by those of TDX", () => {
  const of = (form: "tdx-v4" | "sgx-v3") => {
    const { document, collateral } = makeDcap({ form });
    const { body, qe } = parseQuote(document);
    const level = judgeQe(qe, readQeIdentity(collateral.qe_identity as string));
    return { body, info: readTcbInfo(collateral.tcb_info as string), level };
  };
  const [tdx, sgx] = [of("tdx-v4"), of("sgx-v3")];
  const platform = readPlatform(parseCertificate(pki.pck.der));
  expect(judgePlatform(platform, tdx.body, tdx.info, tdx.level).status).toBe("UpToDate");
  expect(() => judgePlatform(platform, tdx.body, sgx.info, tdx.level)).toThrow("of another kind");
  expect(() => judgePlatform(platform, sgx.body, tdx.info, sgx.level)).toThrow("of another kind");
});
