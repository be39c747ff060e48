import { existsSync, readFileSync } from "node:fs";
import { portableSuite } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import { type CheckId, type Collateral, type DocumentArgs, obstacleOf } from "../attestation.ts";
import { pinnedRoots } from "../roots.ts";
import { readPem } from "../x509.ts";
import { checkSnp } from "./check.ts";
import { openHclReport } from "./hcl.ts";

// Real hardware's documents; they are test data beside the repository and never part of it.
const folder = new URL("../../../../../shared/vectors/tee/", import.meta.url);
const here = existsSync(folder);
const bytes = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const text = (name: string) => readFileSync(new URL(name, folder), "utf8");

type Case = {
  readonly id: string;
  readonly format: string;
  readonly file: string;
  readonly vcek: string;
  readonly chain: string;
  readonly family: string;
  readonly crl?: string;
  readonly at: string;
  readonly options?: { readonly debug?: "allow"; readonly minTcb?: Readonly<Record<string, number>> };
  readonly required?: readonly string[];
  readonly expect: string;
};
const cases: readonly Case[] = here
  ? (JSON.parse(text("manifest.json")) as Case[]).filter((c) => c.format === "sev-snp")
  : [];

function argsOf(c: Case): DocumentArgs {
  const vcek = c.vcek.endsWith(".pem") ? (readPem(text(c.vcek))[0] as Uint8Array) : bytes(c.vcek);
  const collateral: Collateral[] = [
    { kind: "amd-endorsement", data: vcek },
    { kind: "amd-chain", data: bytes(c.chain) },
  ];
  if (c.crl) collateral.push({ kind: "amd-crl", data: bytes(c.crl) });
  return {
    document: bytes(c.file),
    at: Date.parse(c.at),
    roots: pinnedRoots.filter((r) => r.format === "sev-snp" && r.family === c.family),
    collateral,
    measurements: null,
    revoked: [],
    tcb: { statuses: ["unrated"], advisories: [], floors: c.options?.minTcb ?? {} },
    allowDebug: c.options?.debug === "allow",
    binding: null,
    nonce: null,
    maxAge: 300_000,
    suite: nodeSuite,
  };
}
const always: CheckId[] = ["form", "algorithm", "root", "chain", "validity", "signature", "tcb", "debug", "attributes"];
const outcome = (args: DocumentArgs, required: readonly CheckId[]) =>
  obstacleOf(checkSnp(args), required)?.code ?? "pass";

if (!here) test.skip("shared TEE vectors are not here: SEV-SNP reports of real processors", () => {});

const describeHere = here ? describe : () => {};
describeHere("reports of real processors", () => {
  test("are all there", () => expect(cases.length).toBe(10));

  test.each(cases)("$id: $expect", (c) => {
    const args = argsOf(c);
    expect(outcome(args, [...always, ...((c.required ?? []) as CheckId[])])).toBe(c.expect);
    expect(checkSnp({ ...args, suite: portableSuite })).toEqual(checkSnp(args));
  });

  test("an Azure frame is taken apart, and its report binds its text", () => {
    const frame = bytes("snp/azure-genoa-v3.hcl.bin");
    const { report, binding, userData } = openHclReport(frame);
    expect(report).toEqual(bytes("snp/azure-genoa-v3.report.bin"));
    expect(userData).toEqual(new Uint8Array(64));
    const args = argsOf(cases.find((c) => c.id.startsWith("snp/azure")) as Case);
    expect(outcome({ ...args, document: report, binding }, [...always, "binding"])).toBe("pass");
    expect(outcome({ ...args, document: frame, binding }, always)).toBe("TEE_TRAILING_DATA");
  });

  test("no single bit of an Azure frame can be turned", () => {
    const frame = bytes("snp/azure-genoa-v3.hcl.bin");
    const args = argsOf(cases.find((c) => c.id.startsWith("snp/azure")) as Case);
    const accepted: number[] = [];
    for (let i = 0; i < frame.length; i += 5) {
      const turned = frame.slice();
      turned[i] = (turned[i] as number) ^ (1 << (i % 8));
      try {
        const { report, binding } = openHclReport(turned);
        if (outcome({ ...args, document: report, binding }, [...always, "binding"]) === "pass") accepted.push(i);
      } catch {
        // Refused.
      }
    }
    expect(accepted).toEqual([]);
  });

  test("no single bit of a report can be turned", () => {
    for (const id of ["snp/milan-v3", "snp/genoa-v3", "snp/azure-genoa-v3, CRL"]) {
      const args = argsOf(cases.find((c) => c.id === id) as Case);
      expect(outcome(args, always)).toBe("pass");
      const accepted: number[] = [];
      for (let i = 0; i < args.document.length; i += 3) {
        const document = args.document.slice();
        document[i] = (document[i] as number) ^ (1 << (i % 8));
        if (outcome({ ...args, document }, ["signature"]) === "pass") accepted.push(i);
      }
      expect(accepted).toEqual([]);
    }
  });

  test("AMD's chains for Turin and for providers' keys end at the pinned roots, by their keys", () => {
    const milan = argsOf(cases.find((c) => c.id === "snp/milan-v3") as Case);
    const under = (chain: string, family: string) =>
      checkSnp({
        ...milan,
        roots: pinnedRoots.filter((r) => r.family === family),
        collateral: milan.collateral.map((c) => (c.kind === "amd-chain" ? { ...c, data: bytes(chain) } : c)),
      }).checks.find((c) => c.id === "root");
    expect(under("snp/turin.ask-ark.pem", "turin")?.result).toBe("passed");
    expect(under("snp/milan.asvk-ark.pem", "milan")?.result).toBe("passed");
    expect(under("snp/turin.ask-ark.pem", "genoa")?.result).toBe("failed");
  });
});
