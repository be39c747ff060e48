import { existsSync, readFileSync } from "node:fs";
import { fromUtf8, type JsonObject } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { obstacleOf } from "../attestation.ts";
import { pinnedRoots } from "../roots.ts";
import { levelStatuses } from "./collateral.ts";
import { argsOf, dcapOf, makeDcap, pki } from "./dcap.fixture.ts";
import { policyWord, type Status } from "./level.ts";
import { levelRefusals } from "./level-refusals.fixture.ts";
import { askPhala, askPhalaWeb } from "./oracle.fixture.ts";
import { quoteRefusals } from "./quote-refusals.fixture.ts";
import { check, judge, required } from "./refusal.fixture.ts";

/** Where `@phala/dcap-qvl` 0.3.9 accepts what we refuse, and which of its holes that is. */
const holes: Readonly<Record<string, string>> = {
  "text behind the signature data": "nothing behind the signature data is looked at",
  "a PCK chain of four": "a chain of any length that reaches the root",
  "text behind the PCK chain": "PEM blocks are searched for in any text",
  "no report of the quoting enclave": "the type of the outer certification data is not looked at",
  "too long": "no limit",
  "another white space in the PCK chain": "PEM blocks are searched for in any text",
  "bytes behind the PCK chain": "nothing behind the chain is looked at",
  "bytes behind the PCK chain in version 3": "nothing behind the chain is looked at",
  "bytes behind the certification data": "nothing behind the certification data is looked at",
  "another vendor's quoting enclave": "the QE vendor is not looked at",
  "a CA that is none": "basic constraints are looked at in the leaf alone",
  "a CA that may not sign certificates": "key usage is not looked at",
  "a key of P-384": "the curve of the chain's keys is not looked at",
  "a TCB signer as platform": "the roles of certificates are not looked at",
  "another CA of the root": "the roles of certificates are not looked at",
  "no time": "comparisons with a time that is no number are false, and so nothing has expired",
  "an empty PCK list": "lists that cannot be read are skipped",
  "an empty root list": "lists that cannot be read are skipped",
  "lists swapped": "signatures and issuers of lists are not checked",
  "the PCK list of a stranger under our names": "signatures of lists are not checked",
  "the root list of a stranger under our names": "signatures of lists are not checked",
  "a PCK list that lapsed": "times of lists are not checked",
  "a root list that lapsed": "times of lists are not checked",
  "a PCK list of tomorrow": "times of lists are not checked",
  "a list that never lapses": "times of lists are not checked",
  "the list's chain under another root": "the list's chain is not looked at",
  "the list's chain of another CA": "the list's chain is not looked at",
  "the list's chain is the TCB signer's": "the list's chain is not looked at",
  "the list's chain of a CA that was revoked": "the list's chain is not looked at",
  "no chain for the list": "the list's chain is not looked at",
  "an unknown member": "unknown members are ignored",
  "collateral with a key twice": "the last of two members counts",
  "something behind the named key": "the upper half of the QE's report data is not looked at",
  "a reserved bit of XFAM": "XFAM is not looked at",
  "XFAM without SSE": "XFAM is not looked at",
  "the provisioning key": "of an enclave's attributes DEBUG alone is looked at",
  "the launch key": "of an enclave's attributes DEBUG alone is looked at",
  "an enclave that was not initialised": "of an enclave's attributes DEBUG alone is looked at",
  "an unknown flag of SGX": "of an enclave's attributes DEBUG alone is looked at",
  "a reserved bit of XFRM": "of an enclave's attributes DEBUG alone is looked at",
  "a reserved byte of an enclave's report": "reserved bytes are not looked at",
  "a PCK with two families": "the first of two values counts",
  "a time that is none": "30 and 31 of a short month are days of the next",
  "another PCE": "PCEID is not compared",
  "levels compared another way": "tcbType is not looked at",
  "a member that version 3 had not": "unknown members are ignored",
  "fifteen components": "components of a wrong number match nothing, and a lower level is taken",
  "a key twice in TCB info": "the last of two members counts",
  "a key twice in the QE identity": "the last of two members counts",
  "a module that Intel does not name": "module identities are not looked at",
  "a module of another signer": "module identities are not looked at",
  "a debug module": "module identities are not looked at",
  "a debug module that the mask would let pass": "module identities are not looked at",
  "a first module of another signer": "module identities are not looked at",
};
/** What no verifier of quotes could know: it is the caller's policy. */
const policy = [
  "a simulated root that is not pinned",
  "another root",
  "a root that is pinned for another format",
  "two pieces of collateral",
  "another statement",
  "something behind the statement",
  "advisories beside UpToDate",
  "collateral of an old recovery",
  "QE identity of an old recovery",
  "a PCE under the floor",
  "a quoting enclave under the floor",
  "a floor that is not known",
];

describe("@phala/dcap-qvl 0.3.9 over our own documents", () => {
  test.each(["tdx-v4", "tdx-v5", "tdx-v5-1.5", "sgx-v3"] as const)("takes %s for the same", (form) => {
    const { document, collateral } = makeDcap({ form });
    const theirs = askPhala(document, collateral, argsOf().at, pki.root.der);
    expect(theirs).toEqual({ status: "UpToDate", advisories: [] });
  });

  test("refuses what we refuse, but for its holes", () => {
    const accepted: string[] = [];
    for (const [what, , , edit, over] of [...quoteRefusals, ...levelRefusals]) {
      const args = argsOf(edit, over);
      let collateral: JsonObject;
      try {
        collateral = JSON.parse(fromUtf8(args.collateral[0]?.data ?? new Uint8Array()));
      } catch {
        continue;
      }
      const theirs = askPhala(args.document, collateral, args.at, (edit.pki ?? pki).root.der);
      if ("refused" in theirs) continue;
      // It tells a status and leaves it to the caller: the same status is the same answer.
      if (theirs.status !== "UpToDate" && check(edit.form, args).tcb.status === policyWord(theirs.status as Status))
        continue;
      accepted.push(what);
    }
    expect(accepted.filter((what) => !policy.includes(what)).toSorted()).toEqual(Object.keys(holes).toSorted());
    expect(policy.filter((what) => !accepted.includes(what))).toEqual([]);
  });

  test("joins platform and quoting enclave alike, but where it takes the worst of both", () => {
    for (const form of ["sgx-v3", "tdx-v4"] as const)
      for (const level of levelStatuses)
        for (const qe of ["UpToDate", "OutOfDate", "Revoked"] as const) {
          const edit = {
            form,
            // biome-ignore lint/suspicious/noExplicitAny: JSON of a fixture.
            info: (i: any) => Object.assign(i.tcbLevels[0], { tcbStatus: level }),
            // biome-ignore lint/suspicious/noExplicitAny: JSON of a fixture.
            identity: (i: any) => Object.assign(i.tcbLevels[0], { tcbStatus: qe }),
          };
          const { document, collateral } = makeDcap(edit);
          const theirs = askPhala(document, collateral, argsOf().at, pki.root.der);
          const word = "status" in theirs ? policyWord(theirs.status as Status) : "revoked";
          const worst = qe === "OutOfDate" && level.startsWith("Configuration");
          expect(judge(edit).tcb.status).toBe(worst ? "out-of-date-configuration-needed" : word);
          if (worst) expect(word).toBe("out-of-date");
        }
  });
});

const base = new URL("../../../../../shared/vectors/tee/dcap/", import.meta.url);
if (!existsSync(base)) test.skip("shared TEE vectors are not here: nothing genuine to ask the oracles about", () => {});
else {
  const read = (name: string) => new Uint8Array(readFileSync(new URL(name, base)));
  const cases = [
    ["tdx-v4", "tdx-v4", "2025-06-20T12:00:00Z"],
    ["sgx-v3", "sgx-v3", "2025-06-20T12:00:00Z"],
    ["azure-tdx-v4", "tdx-outdated", "2026-02-20T00:00:00Z"],
    ["tdx-outdated", "tdx-outdated", "2026-02-20T00:00:00Z"],
    ["tdx-v4", "tdx-outdated", "2026-02-20T00:00:00Z"],
    ["tdx-v4", "tdx-v4", "2025-08-01T00:00:00Z"],
  ] as const;
  /** Ours, with every status and advisory allowed, as the oracles leave those to the caller. */
  const ours = (name: string, document: Uint8Array, collateral: JsonObject, at: number) => {
    const args = argsOf({}, { document, collateral: [dcapOf(collateral)], at, roots: pinnedRoots, binding: null });
    const advisories = ["INTEL-SA-00289", "INTEL-SA-00615"];
    const tcb = { statuses: levelStatuses.map(policyWord), advisories, floors: {} };
    const report = check(name === "sgx-v3" ? "sgx-v3" : "tdx-v4", { ...args, suite: nodeSuite, tcb });
    return {
      report,
      obstacle: obstacleOf(
        report,
        required.filter((id) => id !== "binding"),
      ),
    };
  };

  describe("both oracles over genuine documents", () => {
    test.each(cases)("%s with the collateral of %s at %s", async (name, collateralName, time) => {
      const document = read(`${name}.quote.bin`);
      const collateral = JSON.parse(fromUtf8(read(`${collateralName}.collateral.json`)));
      const at = Date.parse(time);
      const { report, obstacle } = ours(name, document, collateral, at);
      for (const theirs of [askPhala(document, collateral, at), await askPhalaWeb(document, collateral, at)]) {
        expect("refused" in theirs, JSON.stringify(theirs)).toBe(obstacle !== undefined);
        if ("status" in theirs) {
          expect(report.tcb.status).toBe(policyWord(theirs.status as Status));
          expect(report.tcb.advisories).toEqual(theirs.advisories);
        }
      }
    });

    test("no oracle accepts a changed quote that we refuse, but behind its signature data and between its PEM lines", async () => {
      const document = read("tdx-v4.quote.bin");
      const collateral = JSON.parse(fromUtf8(read("tdx-v4.collateral.json")));
      const at = Date.parse("2025-06-20T12:00:00Z");
      const [begin, end] = [Buffer.from(document).indexOf("-----BEGIN"), Buffer.from(document).lastIndexOf("-----END")];
      let both = 0;
      for (let i = 0; i < document.length; i += 67) {
        const changed = document.slice();
        changed[i] = (changed[i] as number) ^ (1 << (i % 8));
        expect(ours("tdx-v4", changed, collateral, at).obstacle, `byte ${i}`).toBeDefined();
        for (const theirs of [askPhala(changed, collateral, at), await askPhalaWeb(changed, collateral, at)]) {
          if ("refused" in theirs) both++;
          else expect(i >= begin || i === 48 + 584 + 4 + 128, `byte ${i} of ${begin}..${end}`).toBe(true);
        }
      }
      expect(both).toBeGreaterThan(80);
    });

    test("the collateral's signatures: what each of them does not check", async () => {
      const document = read("tdx-v4.quote.bin");
      const collateral = JSON.parse(fromUtf8(read("tdx-v4.collateral.json")));
      const at = Date.parse("2025-06-20T12:00:00Z");
      const flip = (hex: string, from: number) => {
        const bytes = Buffer.from(hex, "hex");
        bytes[bytes.length - from] = (bytes[bytes.length - from] as number) ^ 1;
        return bytes.toString("hex");
      };
      const accepts = async (change: object) => {
        const edited = { ...collateral, ...change };
        expect(ours("tdx-v4", document, edited, at).obstacle).toBeDefined();
        const [js, web] = [askPhala(document, edited, at), await askPhalaWeb(document, edited, at)];
        return ["status" in js, "status" in web];
      };
      // [dcap-qvl 0.3.9, dcap-qvl-web 0.3.3]
      expect({
        pckCrl: await accepts({ pck_crl: flip(collateral.pck_crl, 3) }),
        rootCrl: await accepts({ root_ca_crl: flip(collateral.root_ca_crl, 3) }),
        emptyCrl: await accepts({ pck_crl: "" }),
        tcbInfo: await accepts({ tcb_info_signature: flip(collateral.tcb_info_signature, 1) }),
        qeIdentity: await accepts({ qe_identity_signature: flip(collateral.qe_identity_signature, 1) }),
      }).toEqual({
        pckCrl: [true, false],
        rootCrl: [true, false],
        emptyCrl: [true, false],
        tcbInfo: [false, false],
        qeIdentity: [false, true],
      });
    });
  });
}
