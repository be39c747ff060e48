import { existsSync, readFileSync } from "node:fs";
import { portableSuite, sha256Hex, toHex } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { encode } from "cborg";
import { describe, expect, test } from "vitest";
import { type DocumentArgs, type DocumentReport, obstacleOf } from "../attestation.ts";
import { makeNitroAuthority, signNitroDocument } from "../make/index.ts";
import { pinnedRoots } from "../roots.ts";
import { checkNitro } from "./check.ts";
import { readNitroDocument } from "./document.ts";
import { unwrapDstack, unwrapNsm } from "./frames.ts";

// Evidence of real hardware lies beside the repository: data of others, no part of it.
const folder = new URL("../../../../../shared/vectors/tee/", import.meta.url);
const missing = !existsSync(new URL("manifest.json", folder));
const read = (file: string) => new Uint8Array(readFileSync(new URL(file, folder)));

type Case = {
  readonly id: string;
  readonly format: string;
  readonly file: string;
  readonly at?: string;
  readonly options?: { readonly roots?: []; readonly allow?: []; readonly debug?: "allow" };
  readonly expect: string;
};
const argsFor = (document: Uint8Array, at: number): DocumentArgs => ({
  document,
  at,
  roots: pinnedRoots,
  collateral: [],
  measurements: null,
  revoked: [],
  tcb: { statuses: [], advisories: [], floors: {} },
  allowDebug: false,
  binding: null,
  nonce: null,
  maxAge: 300_000,
  suite: nodeSuite,
});
const required = ["form", "algorithm", "root", "chain", "validity", "signature", "debug", "freshness"] as const;
const outcome = (report: DocumentReport) => obstacleOf(report, required)?.code ?? "pass";
const stamped = (document: Uint8Array) => readNitroDocument(document).timestamp;

if (missing) test.skip("shared TEE vectors are not here: nitro", () => undefined);
else {
  const cases = (JSON.parse(new TextDecoder().decode(read("manifest.json"))) as readonly Case[]).filter(
    (c) => c.format === "nitro",
  );
  const document = read("nitro/production-a.cose");
  const at = stamped(document);
  const check = (bytes: Uint8Array, changed: Partial<DocumentArgs> = {}) =>
    checkNitro({ ...argsFor(bytes, at), ...changed });

  test("all cases of the manifest are here", () => expect(cases.length).toBeGreaterThanOrEqual(11));

  test.each(cases.map((c) => [c.id, c] as const))("%s", (_, c) => {
    const bytes = read(c.file);
    const { roots = pinnedRoots, allow, debug } = c.options ?? {};
    const args = {
      ...argsFor(bytes, c.at ? Date.parse(c.at) : stamped(bytes)),
      roots,
      measurements: allow ?? null,
      allowDebug: debug === "allow",
    };
    const report = checkNitro(args);
    expect(outcome(report)).toBe(c.expect);
    expect(report.assurance).toBe(/EXPIRED|NOT_YET|ROOT/.test(c.expect) ? null : "hardware");
    expect(checkNitro({ ...args, suite: portableSuite })).toEqual(report);
  });

  test("a frame is no document, and unwrapping it gives the document", () => {
    const frame = read("nitro/production-a.scale.bin");
    expect(outcome(check(frame))).toBe("TEE_EVIDENCE_MALFORMED");
    expect(unwrapDstack(frame)).toEqual(document);
    const answer = encode({ Attestation: { document } });
    expect(outcome(check(answer))).toBe("TEE_EVIDENCE_MALFORMED");
    expect(unwrapNsm(answer)).toEqual(document);
  });

  test("null user data is absent", () => {
    const bytes = read("nitro/sequence.cose");
    const report = checkNitro(argsFor(bytes, stamped(bytes)));
    expect(report.reportData).toBeNull();
    expect(report.facts.publicKey?.length).toBe(2 * 294);
  });

  test("nitriding's nonce and the part of its user data that the application gave", () => {
    const bytes = read("nitro/opengradient.cose");
    const nonce = Uint8Array.from(Buffer.from("0123456789abcdef0123456789abcdef01234567", "hex"));
    const binding = Uint8Array.from(
      Buffer.from("abf9d7453422eb419fc1391604b070a81bd6a61f4d9ae0ee71ab24d77670c154", "hex"),
    );
    const args = { ...argsFor(bytes, stamped(bytes)), nonce };
    expect(obstacleOf(checkNitro({ ...args, binding }), [...required, "binding"])).toBeUndefined();
    const other = checkNitro({ ...args, binding: binding.map((b) => b ^ 1) });
    expect(outcome(other)).toBe("TEE_REPORT_DATA_MISMATCH");
  });

  describe("tampering with genuine evidence", () => {
    test("no bit of a document can change", () => {
      for (let i = 0; i < document.length; i += 7) {
        const copy = document.slice();
        copy[i] = (copy[i] as number) ^ (1 << (i & 7));
        const report = check(copy);
        expect(outcome(report), `byte ${i}`).not.toBe("pass");
        expect(report.assurance, `byte ${i}`).toBeNull();
      }
    });

    test("stripped evidence and bytes behind it", () => {
      expect(outcome(check(new Uint8Array()))).toBe("TEE_EVIDENCE_MALFORMED");
      expect(outcome(check(Uint8Array.of(...document, 0)))).toBe("TEE_EVIDENCE_MALFORMED");
    });

    test("(r, n − s) is the same attester", () => {
      const order = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n;
      const other = document.slice();
      const s = BigInt(`0x${toHex(document.subarray(-48))}`);
      other.set(Buffer.from((order - s).toString(16).padStart(96, "0"), "hex"), document.length - 48);
      expect(sha256Hex(other)).not.toBe(sha256Hex(document));
      expect(outcome(check(other))).toBe("pass");
      expect(check(other)).toEqual(check(document));
    });

    const genuine = readNitroDocument(document).certificates.map((c) => c.der);
    const authority = makeNitroAuthority({ now: at, subjectPrefix: "evil" });
    const { chain } = authority.issueSigner(authority.issueZone(at), at);
    const own = chain.map((c) => c.der);
    test.each([
      ["the genuine root in front of an own root", [genuine[0], ...own.slice(0, -1)], "TEE_CHAIN_BROKEN"],
      ["an own root alone", own.slice(0, -1), "TEE_ROOT_UNTRUSTED"],
      ["the genuine bundle with an own leaf", genuine.slice(0, -1), "TEE_CHAIN_BROKEN"],
      ["an own root in front of the genuine bundle", [own[0], ...genuine.slice(0, -1)], "TEE_ROOT_UNTRUSTED"],
    ])("%s", (_, bundle, code) => {
      const pcrs = new Map([0, 1, 2].map((i) => [i, new Uint8Array(48).fill(0xaa)]));
      const content = { moduleId: "i-1", pcrs, userData: null, nonce: null, publicKey: null, timestamp: at };
      const forged = signNitroDocument(content, { chain }, { change: (fields) => fields.set("cabundle", bundle) });
      const report = check(forged);
      expect(outcome(report)).toBe(code);
      expect(report.assurance).toBeNull();
    });
  });
}
