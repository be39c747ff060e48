import { existsSync, readFileSync } from "node:fs";
import { fromHex, fromUtf8, portableSuite, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { type DocumentArgs, obstacleOf } from "../attestation.ts";
import { parseCrl } from "../crl.ts";
import { pinnedRoots } from "../roots.ts";
import { checkTdx } from "./check.ts";
import { argsOf } from "./dcap.fixture.ts";
import { checkEvents, readEventLog, replayEvents } from "./eventlog.ts";
import { policyWord, type Status } from "./level.ts";
import { parseQuote } from "./quote.ts";
import { check, required } from "./refusal.fixture.ts";

type Vector = {
  readonly id: string;
  readonly format: string;
  readonly file: string;
  readonly collateral?: string;
  readonly at: string;
  readonly options?: { readonly statuses: readonly Status[]; readonly advisories: readonly string[] };
  readonly expect: string;
};

const base = new URL("../../../../../shared/vectors/tee/", import.meta.url);
if (!existsSync(base)) test.skip("shared TEE vectors are not here: genuine quotes and collateral", () => {});
else {
  const read = (name: string) => new Uint8Array(readFileSync(new URL(name, base)));
  const json = (name: string) => JSON.parse(fromUtf8(read(name)));
  const manifest: readonly Vector[] = json("manifest.json");
  const of = (format: string) => manifest.filter((v) => v.format === format);
  const needed = required.filter((id) => id !== "binding");
  const form = (v: Pick<Vector, "file">) => (v.file.includes("sgx") ? "sgx-v3" : "tdx-v4");
  const argsFor = (v: Vector): DocumentArgs =>
    argsOf(
      {},
      {
        document: read(v.file),
        at: Date.parse(v.at),
        collateral: v.collateral ? [{ kind: "dcap", data: read(v.collateral) }] : [],
        roots: pinnedRoots,
        binding: null,
        tcb: {
          statuses: v.options?.statuses.map(policyWord) ?? [],
          advisories: v.options?.advisories ?? [],
          floors: {},
        },
      },
    );
  const outcome = (args: DocumentArgs, file: string, suite = nodeSuite) =>
    obstacleOf(check(form({ file }), { ...args, suite }), needed)?.code ?? "pass";

  describe("genuine quotes", () => {
    test.each(of("dcap"))("$id: $expect", (v) => {
      const args = argsFor(v);
      const report = check(form(v), args);
      expect(obstacleOf(report, needed)?.code ?? "pass").toBe(v.expect);
      expect(check(form(v), { ...args, suite: portableSuite })).toEqual(report);
      if (v.expect === "pass") expect(report.assurance).toBe("hardware");
    });

    test.each(of("parse"))("$id can be read", (v) => {
      const { body, chain } = parseQuote(read(v.file));
      expect(body.kind).toBe("tdx");
      expect(chain.length).toBe(3);
    });

    test("the lists of 2023 hold no entry and 44", () => {
      expect(parseCrl(read("dcap/intel-root-2023.crl")).revoked.size).toBe(0);
      expect(parseCrl(read("dcap/intel-pck-platform-2023.crl")).revoked.size).toBe(44);
    });

    test.each(of("eventlog"))("$id gives the quote's registers", (v) => {
      const { quote, event_log } = json(v.file);
      const { body } = parseQuote(fromHex(quote));
      if (body.kind !== "tdx") throw new Error("not a domain");
      const { rtmrs } = body;
      const log = utf8(event_log);
      expect(checkEvents(log, rtmrs).map((e) => e.name)).toContain("compose-hash");
      const events = readEventLog(log);
      for (let i = 0; i < events.length; i++) {
        const others = events.filter((_, at) => at !== i);
        expect(replayEvents(others).registers).not.toEqual(rtmrs);
      }
      const at = events.findIndex((e) => e.event === "compose-hash");
      const forged = events.map((e, i) => (i === at ? { ...e, event_payload: "00".repeat(32) } : e));
      expect(() => checkEvents(utf8(JSON.stringify(forged)), rtmrs)).toThrow("not its content");
    });
  });

  const [tdx, sgx] = ["dcap/tdx-v4", "dcap/sgx-v3 status allowed"].map((id) => manifest.find((v) => v.id === id)) as [
    Vector,
    Vector,
  ];

  describe("genuine documents that were changed", () => {
    test.each([tdx, sgx])("no flipped bit of $file is accepted", (v) => {
      const args = argsFor(v);
      for (let i = 0; i < args.document.length; i += 11) {
        const document = args.document.slice();
        document[i] = (document[i] as number) ^ (1 << (i % 8));
        expect(outcome({ ...args, document }, v.file), `byte ${i}`).not.toBe("pass");
      }
    });

    test("no flipped bit of the collateral is accepted", () => {
      const args = argsFor(tdx);
      const data = read(tdx.collateral as string);
      for (let i = 0; i < data.length; i += 53) {
        const changed = data.slice();
        changed[i] = (changed[i] as number) ^ (1 << (i % 8));
        const code = outcome({ ...args, collateral: [{ kind: "dcap", data: changed }] }, tdx.file);
        expect(code, `byte ${i}`).not.toBe("pass");
      }
    });

    const collateral = json(tdx.collateral as string);
    const flip = (hex: string, from: number) => {
      const bytes = Buffer.from(hex, "hex");
      bytes[bytes.length - from] = (bytes[bytes.length - from] as number) ^ 1;
      return bytes.toString("hex");
    };
    const edit = (text: string, change: object) => JSON.stringify({ ...JSON.parse(text), ...change });
    const foreign = json("dcap/sgx-v3.collateral.json");
    test.each<readonly [string, string, object]>([
      ["the PCK list's signature", "TEE_REVOCATION_UNKNOWN", { pck_crl: flip(collateral.pck_crl, 3) }],
      ["an empty PCK list", "TEE_REVOCATION_UNKNOWN", { pck_crl: "" }],
      ["no PCK list", "TEE_REVOCATION_UNKNOWN", { pck_crl: undefined }],
      ["the root list's signature", "TEE_REVOCATION_UNKNOWN", { root_ca_crl: flip(collateral.root_ca_crl, 3) }],
      [
        "another signer of the quoting enclave",
        "TEE_SIGNATURE_INVALID",
        { qe_identity: edit(collateral.qe_identity, { mrsigner: "0".repeat(64) }) },
      ],
      [
        "the QE identity's signature",
        "TEE_SIGNATURE_INVALID",
        { qe_identity_signature: flip(collateral.qe_identity_signature, 1) },
      ],
      [
        "the QE identity's lifetime",
        "TEE_SIGNATURE_INVALID",
        { qe_identity: edit(collateral.qe_identity, { nextUpdate: "2099-01-01T00:00:00Z" }) },
      ],
      [
        "TCB info's lifetime",
        "TEE_SIGNATURE_INVALID",
        { tcb_info: edit(collateral.tcb_info, { nextUpdate: "2099-01-01T00:00:00Z" }) },
      ],
      [
        "TCB info written again",
        "TEE_SIGNATURE_INVALID",
        { tcb_info: JSON.stringify(JSON.parse(collateral.tcb_info), null, 1) },
      ],
      ["chains swapped", "TEE_CERT_NOT_CA", { tcb_info_issuer_chain: collateral.pck_crl_issuer_chain }],
      // The list of the other CA, genuine and current; and genuine, current statements about SGX.
      ["the Processor CA's list", "TEE_REVOCATION_UNKNOWN", { pck_crl: foreign.pck_crl }],
      ["the Processor CA's chain", "TEE_REVOCATION_UNKNOWN", { pck_crl_issuer_chain: foreign.pck_crl_issuer_chain }],
      [
        "TCB info of SGX",
        "TEE_TCB_CERT_MISMATCH",
        { tcb_info: foreign.tcb_info, tcb_info_signature: foreign.tcb_info_signature },
      ],
      [
        "the identity of SGX's quoting enclave",
        "TEE_QE_IDENTITY",
        { qe_identity: foreign.qe_identity, qe_identity_signature: foreign.qe_identity_signature },
      ],
      [
        "the PCK list of 2023",
        "TEE_COLLATERAL_EXPIRED",
        { pck_crl: Buffer.from(read("dcap/intel-pck-platform-2023.crl")).toString("hex") },
      ],
    ])("collateral with %s: %s", (_what, code, change) => {
      const data = utf8(JSON.stringify({ ...collateral, ...change }));
      expect(outcome({ ...argsFor(tdx), collateral: [{ kind: "dcap", data }] }, tdx.file)).toBe(code);
    });

    test("a genuine quote under no pinned root has no assurance", () => {
      const report = checkTdx({ ...argsFor(tdx), roots: [] });
      expect(report.checks.find((c) => c.result === "failed")).toMatchObject({ code: "TEE_ROOT_UNTRUSTED" });
      expect(report.assurance).toBeNull();
    });
  });
}
