import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TeeCheck } from "@countersign/evidence-tee";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  code,
  makeEnclave,
  measurement,
  registerPlace,
  simulation,
  trusting,
  vendor,
} from "../../../../test/fixtures/enclave.ts";
import { now } from "../../../../test/fixtures/network.ts";
import { optionFor } from "../evidence/missing.ts";
import { main } from "../main.ts";

const enclave = makeEnclave();
const root = `${vendor.rootDigest}=hardware`;
const time = new Date(now + 1000).toISOString();
let folder: string;
let out = "";
let err = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "countersign-evidence-"));
  out = "";
  err = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

/** Runs `countersign verify` over a file with these bytes; the exit status. */
async function verify(bytes: Uint8Array, ...words: string[]): Promise<number> {
  const file = join(folder, "document");
  await writeFile(file, bytes);
  await main(["verify", "--evidence", file, ...words]);
  return Number(process.exitCode);
}
const nitro = (...words: string[]) => verify(enclave.document, "--format", "nitro", ...words);
const judged = () => JSON.parse(out).judged as readonly { outcome: string; obstacle?: { code: string } }[];

test("a document under a pinned root is accepted for its time, and shown for now beside it", async () => {
  expect(await nitro("--at", time, "--root", root)).toBe(0);
  expect(out).toMatch(/ACCEPTED.* at the time/);
  expect(out).toMatch(/NOT ACCEPTED.* now .*TEE_CERT/);
  expect(out).toContain(measurement);
  expect(out).toContain("The measurement was compared with nothing");
});

test("every check stands there with a sentence: passed, failed with its code, or not run and why", async () => {
  expect(await nitro("--at", new Date(now + 86_400_000).toISOString(), "--root", root)).toBe(2);
  expect(out).toMatch(/validity +yes +failed TEE_CERT_EXPIRED/);
  expect(out).toMatch(/signature +yes +not run/);
  expect(out).toMatch(/revocation +not run/);
});

test("without the root it is refused, and told what it is", async () => {
  expect(await nitro("--at", time)).toBe(2);
  expect(out).toContain("TEE_ROOT_UNTRUSTED");
});

test("no --at is said, and judged for now alone", async () => {
  expect(await nitro("--root", root)).toBe(2);
  expect(err).toContain("No --at was given");
  expect(out).not.toMatch(/ACCEPTED.* at the time/);
});

test("what is asked for must hold: measurement, binding, nonce", async () => {
  const ask = async (...words: string[]) => {
    out = "";
    const exit = await nitro("--at", time, "--root", root, "--json", ...words);
    return [exit, judged()[0]?.obstacle?.code];
  };
  expect(await ask("--measurement", measurement)).toEqual([0, undefined]);
  expect(await ask("--measurement", "ab".repeat(32))).toEqual([2, "TEE_MEASUREMENT_UNKNOWN"]);
  expect(await ask("--binding", "ab".repeat(32))).toEqual([2, "TEE_REPORT_DATA_MISMATCH"]);
  expect(await ask("--nonce", "ab".repeat(32))).toEqual([2, "TEE_NONCE_MISMATCH"]);
});

test("debug needs its word", async () => {
  const zero = new Uint8Array(48);
  const { document } = makeEnclave({ code: [zero, code[1], code[2]] });
  const look = (...words: string[]) => verify(document, "--format", "nitro", "--at", time, "--root", root, ...words);
  expect(await look()).toBe(2);
  expect(out).toContain("TEE_DEBUG_MODE");
  out = "";
  expect(await look("--allow-debug")).toBe(0);
  expect(out).toMatch(/PROVES NOTHING.*DEBUG MODE.*--allow-debug/);
  expect(out).not.toMatch(/\bACCEPTED .* at the time/);
  out = "";
  expect(await look("--allow-debug", "--json")).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ allowed: ["debug"] });
  out = "";
  await nitro("--at", time, "--root", root, "--allow-debug", "--json");
  expect(JSON.parse(out)).toMatchObject({ allowed: [] });
});

test("an option's word that does not exist is refused before anything is judged", async () => {
  for (const words of [
    ["--max-age", "abc"],
    ["--max-age", "-5"],
    ["--floor", "foo=1"],
    ["--allow-status", "up-to-data"],
    ["--signature", "x"],
    ["--registration", "x"],
  ])
    expect(await nitro("--at", time, "--root", root, ...words), words.join(" ")).toBe(64);
  const tdx = (...words: string[]) => verify(enclave.document, "--format", "tdx", "--at", time, ...words);
  expect(await tdx("--allow-status", "out-of-data")).toBe(64);
  expect(err).toContain("out-of-date");
  expect(await tdx("--floor", "pcesvn=1")).toBe(64);
  expect(await tdx("--floor", "pceSvn=1", "--allow-status", "out-of-date")).toBe(2);
  const bundle = (...words: string[]) => verify(enclave.attestation, "--format", "attestation", "--at", time, ...words);
  expect(await bundle("--allow-debug")).toBe(64);
  expect(await bundle("--measurement", measurement)).toBe(64);
});

test("a TPM's quote without its signature is asked for it", async () => {
  expect(await verify(Uint8Array.of(0xff, 0x54, 0x43, 0x47), "--format", "tpm2", "--at", time)).toBe(64);
  expect(err).toContain("--signature");
});

test("a check that did not run names the option that supplies what is missing", async () => {
  const notRun = (id: TeeCheck["id"], why = "It is missing."): TeeCheck => ({ id, title: id, result: "not-run", why });
  expect(optionFor("sev-snp", notRun("revocation"))).toContain("--crl");
  expect(optionFor("sev-snp", notRun("tcb"))).toContain("--floor");
  expect(optionFor("tpm2", notRun("freshness"))).toContain("--nonce");
  expect(optionFor("confidential-space", notRun("root"))).toContain("jwks=");
  expect(optionFor("sev-snp", notRun("freshness"))).toBeUndefined();
  expect(optionFor("sev-snp", notRun("revocation", '"root" failed before it.'))).toBeUndefined();
});

test("where the times differ, each result has its own sentence", async () => {
  expect(await nitro("--at", time, "--root", root)).toBe(0);
  expect(out).toMatch(/validity +yes +passed +failed TEE_CERT_EXPIRED +.*At the time: All of them until .* Now: /);
});

test("a simulation is shown as one, whoever's form its document has", async () => {
  const { document } = makeEnclave({ authority: simulation });
  const look = (...words: string[]) => verify(document, "--format", "nitro", "--at", time, ...words);
  expect(await look()).toBe(2);
  expect(out).toMatch(/vendor +simulated, in the form of AWS's/);
  out = "";
  expect(await look("--root", `${simulation.rootDigest}=simulated`)).toBe(0);
  expect(out).toMatch(/vendor +simulated, in the form of AWS's/);
});

test("one cannot do without what makes it evidence", async () => {
  for (const check of ["root", "signature", "chain", "form", "debug", "nonsense"]) {
    expect(await nitro("--at", time, "--without", check), check).toBe(64);
  }
  expect(await nitro("--at", new Date(now + 600_000).toISOString(), "--root", root, "--without", "freshness")).toBe(2);
  expect(out).toContain("TEE_STALE");
});

test("wrong use is refused by status 64, and no option is dropped in silence", async () => {
  for (const words of [
    [],
    ["--format", "sgx2"],
    ["--format", "nitro", "--vcek", "x"],
    ["--format", "nitro", "--root", "ab"],
  ]) {
    expect(await verify(enclave.document, ...words), words.join(" ")).toBe(64);
  }
  expect(await nitro("--request", "x")).toBe(64);
  expect(await nitro("--policy", "tee")).toBe(64);
  await main(["verify", "receipt.json", "--format", "nitro"]);
  expect(process.exitCode).toBe(64);
  await main(["verify"]);
  expect(process.exitCode).toBe(64);
});

test("an attestation is judged by a trust file, and without one nobody is believed", async () => {
  const trust = join(folder, "trust.json");
  const registration = join(folder, "registration.json");
  await writeFile(trust, JSON.stringify(trusting()));
  await writeFile(registration, JSON.stringify(registerPlace(enclave)));
  const judge = (...words: string[]) => verify(enclave.attestation, "--format", "attestation", "--at", time, ...words);
  expect(await judge("--trust", trust, "--registration", registration)).toBe(0);
  expect(out).toContain(enclave.keyset.keys[0]?.key);
  expect(await judge("--trust", trust)).toBe(2);
  expect(out).toContain("TEE_CUSTODY_NOT_ALLOWED");
  out = "";
  expect(await judge()).toBe(2);
  expect(out).toContain("TEE_FORMAT_NOT_ALLOWED");
});

test("what cannot be read is a failed check and no crash", async () => {
  expect(await verify(Uint8Array.of(0x84, 1, 2, 0xff), "--format", "nitro", "--at", time)).toBe(2);
  expect(out).toMatch(/form +yes +failed TEE_EVIDENCE_MALFORMED/);
  expect(out).not.toContain("vendor-managed");
});
