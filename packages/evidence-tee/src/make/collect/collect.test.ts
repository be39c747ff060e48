import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromHex, type JsonObject, sha256Hex, toHex, utf8 } from "@countersign/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { obstacleOf } from "../../attestation.ts";
import { checkTdx } from "../../dcap/check.ts";
import { argsOf, makeDcap, makePki } from "../../dcap/dcap.fixture.ts";
import { checkSnp } from "../../snp/check.ts";
import {
  judgedAt,
  lateTcb,
  makeAmd,
  makeEndorsement,
  makeReport,
  turinChipId,
  wanted as wantedSnp,
} from "../../snp/snp.fixture.ts";
import { checkConfidentialSpace } from "../../token/check.ts";
import { makeIssuer, makeToken, spaceClaims, wanted as wantedToken } from "../../token/token.fixture.ts";
import { makeCrl } from "../certificate.ts";
import { collectDcap } from "./dcap.ts";
import { collectKeySet } from "./key-set.ts";
import { collectSnp } from "./snp.ts";
import { type CollateralStore, openCollateralStore } from "./store.ts";

type Reply = {
  readonly body: Uint8Array | string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
};
/** What the vendor's service does: answers by path, or something of its own. */
let replies: Record<string, Reply | ((response: ServerResponse) => void)> = {};
let asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? "");
  const reply = replies[request.url ?? ""];
  if (typeof reply === "function") return reply(response);
  response.writeHead(reply?.status ?? (reply ? 200 : 404), reply?.headers ?? {});
  response.end(reply?.body ?? "");
});
let base = "";
let folder = "";
let store: CollateralStore;

beforeEach(async () => {
  [replies, asked] = [{}, []];
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), "collateral-"));
  store = await openCollateralStore(join(folder, "store"));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});
const stored = () => readdir(join(folder, "store"));
const collecting = () => ({ fetch, store, timeout: 5000 });
const unavailable = { code: "TEE_COLLATERAL_UNAVAILABLE" };

/** The exchanges of Intel's service, in the form of its version 4. */
function intel(kind: "tdx" | "sgx", c: JsonObject, ca = "platform"): Record<string, Reply> {
  const text = (name: string) => c[name] as string;
  const chain = (name: string) => encodeURIComponent(text(name));
  return {
    [`/${kind}/certification/v4/tcb?fmspc=b0c06f000000`]: {
      body: `{"tcbInfo":${text("tcb_info")},"signature":"${text("tcb_info_signature")}"}`,
      headers: { "tcb-info-issuer-chain": chain("tcb_info_issuer_chain") },
    },
    [`/${kind}/certification/v4/qe/identity`]: {
      body: `{"enclaveIdentity":${text("qe_identity")},"signature":"${text("qe_identity_signature")}"}`,
      headers: { "sgx-enclave-identity-issuer-chain": chain("qe_identity_issuer_chain") },
    },
    [`/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`]: {
      body: fromHex(text("pck_crl")),
      headers: { "sgx-pck-crl-issuer-chain": chain("pck_crl_issuer_chain") },
    },
    "/IntelSGXRootCA.der": { body: fromHex(text("root_ca_crl")) },
  };
}
const collectQuote = (quote: Uint8Array) =>
  collectDcap({ ...collecting(), quote, service: base, rootList: `${base}/IntelSGXRootCA.der` });

describe("Intel's service", () => {
  test("gives what a TDX quote is then accepted with; it is stored by its digest", async () => {
    const { document, collateral } = makeDcap();
    replies = intel("tdx", collateral);
    const found = await collectQuote(document);
    expect(found.map((c) => c.kind)).toEqual(["dcap"]);
    const report = checkTdx({ ...argsOf(), document, collateral: found });
    expect(obstacleOf(report, ["signature", "revocation", "tcb", "binding"])).toBeUndefined();
    const [piece] = found as [(typeof found)[number]];
    expect(await store.get(sha256Hex(piece.data))).toEqual(piece.data);
    expect(asked.length).toBe(4);
  });

  test("is asked for the other list where a processor's authority issued the certificate, and by SGX's paths", async () => {
    const pki = makePki({ ca: { subject: "Intel SGX PCK Processor CA" } });
    const { document, collateral } = makeDcap({ form: "sgx-v3", pki });
    replies = intel("sgx", collateral, "processor");
    await collectQuote(document);
    expect(asked).toEqual(Object.keys(replies));
  });

  const { document, collateral } = makeDcap();
  const good = intel("tdx", collateral);
  const [tcb, qe, list, root] = Object.keys(good) as [string, string, string, string];
  test.each<[string, Record<string, Reply>]>([
    ["a status that is not 200", { [qe]: { body: "", status: 503 } }],
    ["nothing", { [root]: { body: "" } }],
    ["a chain that is not there", { [tcb]: { body: (good[tcb] as Reply).body } }],
    ["a chain that is none", { [list]: { ...(good[list] as Reply), headers: { "sgx-pck-crl-issuer-chain": "x" } } }],
    [
      "a chain in broken encoding",
      { [list]: { ...(good[list] as Reply), headers: { "sgx-pck-crl-issuer-chain": "%" } } },
    ],
    ["a list in JSON", { [list]: { ...(good[list] as Reply), body: '{"error":"x"}' } }],
    ["a list in hex", { [root]: { body: toHex((good[root] as Reply).body as Uint8Array) } }],
    ["a list cut short", { [root]: { body: ((good[root] as Reply).body as Uint8Array).subarray(0, -1) } }],
    ["no signature", { [tcb]: { ...(good[tcb] as Reply), body: `{"tcbInfo":${collateral.tcb_info}}` } }],
    ["another platform's data", { [tcb]: otherPlatform() }],
    ["text that is no JSON", { [qe]: { ...(good[qe] as Reply), body: "<html>" } }],
    ["more than is read", { [root]: { body: new Uint8Array(1_048_577) } }],
    ["another address", { [tcb]: { body: "", status: 302, headers: { location: "/else" } } }],
  ])("answers with %s: nothing is stored", async (_, changed) => {
    replies = { ...good, ...changed };
    await expect(collectQuote(document)).rejects.toMatchObject(unavailable);
    expect(await stored()).toEqual([]);
    expect(asked).not.toContain("/else");
  });
  function otherPlatform(): Reply {
    const changed = (collateral.tcb_info as string).replace(/b0c06f000000/i, "90C06F000000");
    return { ...(good[tcb] as Reply), body: `{"tcbInfo":${changed},"signature":"${collateral.tcb_info_signature}"}` };
  }

  test("does not answer, or breaks off: the time is over, loudly", async () => {
    const slow = { fetch, store, timeout: 100, quote: document, service: base };
    replies = { [tcb]: () => {} };
    await expect(collectDcap(slow)).rejects.toMatchObject(unavailable);
    replies = { [tcb]: (response) => void response.writeHead(200).write("{") };
    await expect(collectDcap(slow)).rejects.toMatchObject(unavailable);
    replies = { [tcb]: (response) => void response.destroy() };
    await expect(collectDcap(slow)).rejects.toMatchObject(unavailable);
  });

  test("is asked over https alone, but on this machine", async () => {
    const never: typeof fetch = () => Promise.reject(new Error("asked"));
    const where = { ...collecting(), fetch: never, quote: document };
    const failing = (service: string) => collectDcap({ ...where, service }).catch((error) => error.cause?.message);
    expect(await failing("http://service.invalid")).toBeUndefined();
    expect(await failing("http://127.0.0.1.invalid")).toBeUndefined();
    expect(await failing("https://service.invalid")).toBe("asked");
    expect(await failing("http://127.0.0.1:1")).toBe("asked");
  });
});

describe("AMD's service", () => {
  const turin = makeAmd("turin");
  const leaf = makeEndorsement(turin);
  const report = makeReport("turin", leaf.key);
  const list = makeCrl({
    issuer: turin.ark,
    thisUpdate: judgedAt - 1000,
    nextUpdate: judgedAt + 1000,
    revoked: [],
  });
  const id = toHex(turinChipId.subarray(0, 8));
  const [fmc, boot, tee, snp] = lateTcb as unknown as [number, number, number, number];
  const levels = `fmcSPL=0${fmc}&blSPL=0${boot}&teeSPL=0${tee}&snpSPL=0${snp}&ucodeSPL=72`;
  const [endorsement, chain, crl] = [
    `/vcek/v1/Turin/${id}?${levels}`,
    "/vcek/v1/Turin/cert_chain",
    "/vcek/v1/Turin/crl",
  ];
  const good: Record<string, Reply> = {
    [endorsement]: { body: leaf.der },
    [chain]: { body: turin.ask.pem + turin.ark.pem },
    [crl]: { body: list },
  };
  const collect = (bytes = report) => collectSnp({ ...collecting(), report: bytes, family: "turin", service: base });

  test("gives what a report is then accepted with", async () => {
    replies = good;
    const collateral = await collect();
    expect(asked).toEqual([endorsement, chain, crl]);
    const found = checkSnp(wantedSnp(report, turin.root, collateral));
    expect(obstacleOf(found, ["signature", "revocation", "tcb", "binding"])).toBeUndefined();
    expect((await stored()).sort()).toEqual(collateral.map((c) => sha256Hex(c.data)).sort());
  });

  test.each<[string, Record<string, Reply>]>([
    ["too many questions", { [endorsement]: { body: "slow down", status: 429 } }],
    ["a certificate that is none", { [endorsement]: { body: turin.ask.pem } }],
    ["one certificate of two", { [chain]: { body: turin.ask.pem } }],
    ["a list that is none", { [crl]: { body: "x" } }],
  ])("answers with %s: nothing is stored", async (_, changed) => {
    replies = { ...good, ...changed };
    await expect(collect()).rejects.toMatchObject(unavailable);
    expect(await stored()).toEqual([]);
  });

  test("is not asked for a report that names no chip", async () => {
    const masked = makeReport("turin", leaf.key, (bytes) => void bytes.fill(0, 0x1a0, 0x1e0));
    await expect(collect(masked)).rejects.toMatchObject(unavailable);
    const provider = makeReport("turin", leaf.key, (bytes) => void bytes.fill(1 << 2, 0x48, 0x49));
    await expect(collect(provider)).rejects.toMatchObject(unavailable);
    expect(asked).toEqual([]);
  });
});

describe("a verifier's key set", () => {
  const issuer = makeIssuer("RS256");
  const configuration = "/.well-known/openid-configuration";
  const described = (changed: Record<string, unknown> = {}): Reply => ({
    body: JSON.stringify({ issuer: "https://issuer.invalid", jwks_uri: `${base}/keys`, ...changed }),
  });
  const discover = () =>
    collectKeySet({
      ...collecting(),
      place: { configuration: `${base}${configuration}`, issuer: "https://issuer.invalid" },
    });

  test("is kept byte for byte, and a token is accepted once its digest is pinned", async () => {
    const spaced = utf8(`${new TextDecoder().decode(issuer.jwks)}\n`);
    replies = { "/keys": { body: spaced } };
    const { collateral, digest } = await collectKeySet({ ...collecting(), place: { keySet: `${base}/keys` } });
    expect(digest).toBe(sha256Hex(spaced));
    const document = utf8(makeToken(issuer.key, spaceClaims));
    const args = { ...wantedToken(document, "confidential-space", spaced), collateral };
    expect(obstacleOf(checkConfidentialSpace(args), ["signature"])).toBeUndefined();
  });

  test("is found through its issuer's document", async () => {
    replies = { [configuration]: described(), "/keys": { body: issuer.jwks } };
    expect((await discover()).digest).toBe(sha256Hex(issuer.jwks));
  });

  test("is refused from another issuer's document, without an address, empty, or as something else", async () => {
    const keys = (body: string) => ({ [configuration]: described(), "/keys": { body } });
    for (const set of [
      { [configuration]: described({ issuer: "https://else.invalid" }), "/keys": { body: issuer.jwks } },
      { [configuration]: described({ jwks_uri: 1 }), "/keys": { body: issuer.jwks } },
      { [configuration]: described({ jwks_uri: "http://issuer.invalid/keys" }) },
      { [configuration]: described({ jwks_uri: "keys" }) },
      keys('{"keys":[]}'),
      keys('{"keys":[],"keys":[{}]}'),
      keys("[]"),
      keys(`{"keys":[{}]${" ".repeat(1_048_576)}}`),
    ]) {
      replies = set;
      await expect(discover()).rejects.toMatchObject(unavailable);
    }
    expect(await stored()).toEqual([]);
  });
});

describe("the store", () => {
  test("gives back what was put, once, and nothing else", async () => {
    const bytes = utf8("a piece");
    const digest = await store.put(bytes);
    expect(digest).toBe(sha256Hex(bytes));
    expect(await Promise.all([store.put(bytes), store.put(bytes), store.put(bytes)])).toEqual([digest, digest, digest]);
    expect(await stored()).toEqual([digest]);
    expect(await store.get(digest)).toEqual(bytes);
    expect(await store.get("00".repeat(32))).toBeUndefined();
    expect(await store.get("../store")).toBeUndefined();
    expect(await (await openCollateralStore(join(folder, "store"))).get(digest)).toEqual(bytes);
  });

  test("never overwrites: a file that was changed is refused and stays as it is", async () => {
    const digest = await store.put(utf8("a piece"));
    const file = join(folder, "store", digest);
    await writeFile(file, "another");
    await expect(store.get(digest)).rejects.toMatchObject(unavailable);
    await expect(store.put(utf8("a piece"))).rejects.toMatchObject(unavailable);
    expect(await readFile(file, "utf8")).toBe("another");
  });

  test("leaves no draft behind where many put the same at once", async () => {
    await Promise.all(Array.from({ length: 20 }, () => store.put(utf8("x"))));
    expect(await stored()).toEqual([sha256Hex(utf8("x"))]);
  });
});
