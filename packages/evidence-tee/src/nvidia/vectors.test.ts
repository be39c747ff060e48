import { existsSync, readFileSync } from "node:fs";
import { fromBase64, fromHex, portableSuite, utf8 } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { describe, expect, test } from "vitest";
import {
  type CheckDocument,
  type CheckId,
  type DocumentArgs,
  type DocumentReport,
  obstacleOf,
} from "../attestation.ts";
import { pinnedRoots } from "../roots.ts";
import { checkNvidia } from "./check.ts";
import { checkNvidiaEat } from "./check-eat.ts";

// Real hardware's documents; they are test data beside the repository and never part of it.
const folder = new URL("../../../../../shared/vectors/tee/", import.meta.url);
const here = existsSync(folder);
const text = (name: string) => readFileSync(new URL(name, folder), "utf8");

type Case = {
  readonly id: string;
  readonly format: string;
  readonly file: string;
  readonly chain?: string;
  readonly at: string;
  readonly required?: readonly CheckId[];
  readonly expect: string;
};
const cases: readonly Case[] = here
  ? (JSON.parse(text("manifest.json")) as Case[]).filter((c) => c.format === "nvidia" || c.format === "eat")
  : [];
const find = (id: string) => cases.find((c) => c.id === id) as Case;
type Entry = { readonly evidence: string; readonly certificate: string; readonly nonce: string };

/** One document a GPU: NVIDIA's list is taken apart, each entry in a list of its own. */
function argsOf(c: Case): readonly DocumentArgs[] {
  const base = {
    at: Date.parse(c.at),
    roots: pinnedRoots,
    collateral: [],
    measurements: null,
    revoked: [],
    tcb: { statuses: [], advisories: [], floors: {} },
    allowDebug: false,
    binding: null,
    nonce: null,
    maxAge: 86_400_000,
    suite: nodeSuite,
  };
  if (c.format === "eat") {
    const value = JSON.parse(text(c.file));
    return [{ ...base, document: utf8(JSON.stringify(value.detached_eat ?? value)) }];
  }
  if (c.chain) {
    const collateral = [{ kind: "nvidia-chain" as const, data: utf8(text(c.chain)) }];
    return [{ ...base, collateral, document: fromHex(text(c.file).trim()) }];
  }
  return (JSON.parse(text(c.file)) as Entry[]).map((entry) => ({
    ...base,
    nonce: fromHex(entry.nonce),
    document: utf8(JSON.stringify([entry])),
  }));
}
const checkerOf = (c: Case): CheckDocument => (c.format === "eat" ? checkNvidiaEat : checkNvidia);
const usual: Readonly<Record<string, readonly CheckId[]>> = {
  nvidia: ["form", "algorithm", "root", "chain", "validity", "signature"],
  eat: ["form", "chain", "freshness", "attributes", "signature"],
};
const outcome = (report: DocumentReport, required: readonly CheckId[]) => obstacleOf(report, required)?.code ?? "pass";

if (!here) test.skip("shared TEE vectors are not here: evidence of real GPUs", () => {});

describe.runIf(here)("evidence of real GPUs", () => {
  test("is all there", () => expect(cases.length).toBe(10));

  test.each(cases)("$id: $expect", (c) => {
    for (const args of argsOf(c)) {
      const report = checkerOf(c)(args);
      expect(outcome(report, c.required ?? (usual[c.format] as readonly CheckId[]))).toBe(c.expect);
      expect(checkerOf(c)({ ...args, suite: portableSuite })).toEqual(report);
    }
  });

  test.each([
    ["nvidia/hopper-driver590", "590.12", "96.00.A5.00.01", "passed"],
    ["nvidia/hopper-driver535", "535.86.09", "96.00.5E.00.01", "not-run"],
    ["nvidia/blackwell", "575.32", "97.00.88.00.0F", "passed"],
  ])(
    "%s shows its versions, and where its firmware is named it is the certified one",
    (id, driver, vbios, firmware) => {
      const report = checkNvidia(argsOf(find(id))[0] as DocumentArgs);
      expect(report.registers).toEqual({ driver, vbios });
      expect(report.assurance).toBe("hardware");
      expect(report.checks.find((c) => c.id === "attributes")?.result).toBe(firmware);
      for (const id of ["revocation", "tcb", "debug", "measurement"])
        expect(report.checks.find((c) => c.id === id)?.result).toBe("not-run");
    },
  );

  test("four GPUs of one machine are four attesters, in four documents", () => {
    const four = argsOf(find("nvidia/hopper-4gpu"));
    expect(new Set(four.map((args) => checkNvidia(args).attester)).size).toBe(4);
    const together = { ...(four[0] as DocumentArgs), document: utf8(text("nvidia/hopper-4gpu.evidence.json")) };
    expect(outcome(checkNvidia(together), ["form"])).toBe("TEE_EVIDENCE_MALFORMED");
  });

  test("another machine's nonce is refused", () => {
    const [args] = argsOf(find("nvidia/hopper-driver590")) as [DocumentArgs];
    expect(outcome(checkNvidia({ ...args, nonce: new Uint8Array(32) }), ["form"])).toBe("TEE_GPU_NOT_BOUND");
  });

  test("NVIDIA's file as it stands is read, also in the form with line breaks", () => {
    const [args] = argsOf(find("nvidia/hopper-driver590")) as [DocumentArgs];
    const document = utf8(text("nvidia/hopper-driver590.evidence.json"));
    expect(checkNvidia({ ...args, document })).toEqual(checkNvidia(args));
    expect(
      fromBase64((JSON.parse(text("nvidia/hopper-driver590.evidence.json")) as Entry[])[0]?.evidence ?? "")[0],
    ).toBe(0x11);
  });

  test("no single bit of a report or of its certificates can be turned", () => {
    for (const id of ["nvidia/hopper-rim-expired", "nvidia/blackwell"]) {
      const [args] = argsOf(find(id)) as [DocumentArgs];
      const [chain] = args.collateral;
      const passes = (changed: Partial<DocumentArgs>) =>
        outcome(checkNvidia({ ...args, ...changed }), usual.nvidia as CheckId[]) === "pass";
      expect(passes({})).toBe(true);
      const accepted: string[] = [];
      for (let i = 0; i < args.document.length; i += 17)
        if (passes({ document: turn(args.document, i) })) accepted.push(`report ${i}`);
      for (let i = 0; chain && i < chain.data.length; i += 29)
        if (passes({ collateral: [{ ...chain, data: turn(chain.data, i) }] })) accepted.push(`chain ${i}`);
      expect(accepted).toEqual([]);
    }
    const [framed] = argsOf(find("nvidia/hopper-driver590")) as [DocumentArgs];
    const accepted: number[] = [];
    for (let i = 0; i < framed.document.length; i += 41) {
      const report = checkNvidia({ ...framed, document: turn(framed.document, i) });
      if (outcome(report, usual.nvidia as CheckId[]) === "pass") accepted.push(i);
    }
    expect(accepted).toEqual([]);
  });

  test("a real token without its issuer's key set has no assurance", () => {
    const [args] = argsOf(find("eat/nvidia-nras-detached")) as [DocumentArgs];
    const report = checkNvidiaEat(args);
    expect(report.assurance).toBeNull();
    expect(report.attester).toBeNull();
    expect(report.registers).toEqual({ driver: "550.90.07", vbios: "96.00.9F.00.01" });
    expect(report.checks.find((c) => c.id === "revocation")?.result).toBe("passed");
  });
});

function turn(bytes: Uint8Array, i: number): Uint8Array {
  const out = bytes.slice();
  out[i] = (out[i] as number) ^ (1 << (i % 8));
  return out;
}
