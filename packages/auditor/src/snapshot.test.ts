import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  commit,
  type Entry,
  encodeEntry,
  envelopeDigest,
  type Hex,
  masksOf,
  noDigest,
  noTrust,
  parsePolicy,
  printPolicy,
  type Receipt,
  type ReceiptSnapshot,
  signRun,
  type Trust,
  toBase64Url,
  toHex,
} from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { formatVkey, parsePolicy as parseWitnesses, verifierKey } from "@countersign/log";
import { cosignBy, type LogWriter, openLog, serveLog } from "@countersign/log/write";
import { verify } from "@countersign/verify";
import { serve } from "@hono/node-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Auditor, startAuditor } from "./auditor.ts";
import { readConfig } from "./config.ts";

const at = 1_800_000_000_000;
const seed = (n: number) => ed25519Signer(new Uint8Array(32).fill(n));
const [logKey, node] = [seed(1), seed(2)];
const digest = (n: number): Hex => toHex(new Uint8Array(32).fill(n));
const policy = parsePolicy("logged");
const origin = "test.example/log";

/** A receipt with nothing in it, and its entry: all that the log and the monitor are about. */
function issue(n: number): { readonly receipt: Receipt; readonly root: Hex; readonly entry: Uint8Array } {
  const { roots, leaves } = commit({}, () => new Uint8Array(32).fill(n));
  const text = printPolicy(policy);
  const statement = signRun(
    roots.receiptRoot,
    {
      suite: "countersign/receipt/v1",
      network: noTrust.network,
      issuer: toHex(node.publicKey),
      endpoint: "/v1/chat/completions",
      requestTag: digest(n),
      requestDigest: digest(4),
      model: { id: "m", digest: digest(5) },
      deployment: { id: "d", version: 1 },
      scope: "inference",
      policy: { demanded: text, bought: text, release: "met", deadline: null, source: "request" },
      rewrites: [],
      ownerSalted: [],
      outcome: "complete",
      nonceSource: "client",
      issuedAt: at - 1000,
      log: origin,
      labels: ["development"],
    },
    node,
  );
  const mask = masksOf(policy)[0] as number;
  const entry: Entry = {
    kind: "receipt",
    flags: ["development"],
    subject: roots.receiptRoot,
    envelope: envelopeDigest(statement),
    issuer: toHex(node.publicKey),
    model: digest(5),
    tag: digest(n),
    deployment: digest(6),
    demanded: masksOf(policy),
    bought: mask,
    delivered: 1,
    tokens: 1,
    value: 1,
    hour: Math.floor((at - 1000) / 3_600_000),
  };
  const receipt: Receipt = {
    format: "countersign/receipt/v1",
    statement,
    leaves,
    openings: [],
    offer: null,
    delivery: null,
    keys: [],
    evidence: [],
    inclusion: [],
    snapshots: [],
    head: null,
    anchors: [],
    holder: null,
  };
  return { receipt, root: roots.receiptRoot, entry: encodeEntry(entry) };
}

describe("a snapshot, in verify's terms", () => {
  let dir: string;
  let log: LogWriter;
  let auditor: Auditor;
  let trust: Trust;
  let stop: () => Promise<unknown>;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "countersign-snapshot-"));
    let handle: (request: Request) => Promise<Response> = async () => new Response(null, { status: 503 });
    const port = await new Promise<number>((resolve) => {
      const server = serve({ fetch: (r) => handle(r), hostname: "127.0.0.1", port: 0 }, (a) => resolve(a.port));
      stop = () => new Promise((done) => server.close(done));
    });
    const key = formatVkey(verifierKey(origin, "note", logKey.publicKey));
    const config = { name: "test.example/auditor", directory: "a", log: { key, url: `http://127.0.0.1:${port}/log/` } };
    auditor = await startAuditor(
      { ...readConfig(config, dir), every: 0, standing: { refute: [digest(9)], revoke: [digest(9)] } },
      { now: () => at },
    );
    const witnesses = `witness w ${auditor.witnessKey} ${auditor.url}\nquorum w\n`;
    log = await openLog({
      dir: join(dir, "log"),
      origin,
      signer: logKey,
      suite: nodeSuite,
      cosign: cosignBy({ policy: parseWitnesses(witnesses), suite: nodeSuite, fetch }),
    });
    handle = serveLog({ fetchTile: log.fetchTile, prefix: "/log/" });
    trust = {
      ...noTrust,
      development: true,
      nodes: [{ name: "node", key: toHex(node.publicKey) }],
      logs: [key],
      witnesses,
      monitors: { quorum: 1, keys: [{ name: "auditor", key: auditor.key }] },
    };
  });

  afterAll(async () => {
    await log.close();
    await auditor.close();
    await stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const append = async (entry: Uint8Array): Promise<number> => {
    const { index, integrated } = await log.append(entry);
    await integrated;
    return index;
  };
  async function staple(receipt: Receipt, root: Hex, entry: Uint8Array, index: number): Promise<Receipt> {
    const answer = await fetch(`${auditor.url}/snapshot?root=${root}&keys=${toHex(node.publicKey)}`);
    const { envelope, proofs } = (await answer.json()) as ReceiptSnapshot;
    return {
      ...receipt,
      inclusion: [{ entry: toBase64Url(entry), proof: await log.proof(index) }],
      snapshots: [{ envelope, proofs }],
    };
  }
  const judge = (receipt: Receipt) => verify({ receipt, trust, at, allowDevelopment: true, suite: nodeSuite });
  const about = (kind: Entry["kind"], subject: Hex, by: Hex = digest(9)): Uint8Array =>
    encodeEntry({
      kind,
      flags: ["development"],
      subject,
      envelope: digest(9),
      issuer: by,
      model: noDigest,
      tag: noDigest,
      deployment: noDigest,
      demanded: [],
      bought: 0,
      delivered: 0,
      tokens: 0,
      value: 0,
      hour: 1,
    });

  it("lets a verdict say what was searched, and takes that back when a refutation or revocation is logged", async () => {
    const { receipt, root, entry } = issue(11);
    const index = await append(entry);
    const clean = await staple(receipt, root, entry, index);
    // The receipt has no offer, so nothing makes it final; what a snapshot gives is the time that was searched.
    expect(judge(clean)).toMatchObject({ outcome: "met", searchedThrough: at });
    expect(judge({ ...clean, snapshots: [] })).toMatchObject({ searchedThrough: null, final: false });
    const other = issue(12);
    const place = await append(other.entry);

    // A stranger's word against it is in the log too, and counts for nothing.
    await append(about("refutation", root, digest(10)));
    await append(about("revocation", toHex(node.publicKey), digest(10)));
    expect(judge(await staple(receipt, root, entry, index))).toMatchObject({ outcome: "met", searchedThrough: at });
    await append(about("refutation", root));
    const refuted = await staple(receipt, root, entry, index);
    expect(judge(refuted)).toMatchObject({ searchedThrough: null, final: false });
    expect(judge(refuted).checks.find((c) => c.id === "snapshot.searched")?.code).toBe("CLAIM_REFUTED");
    // Another receipt's clean bill of health is not this one's.
    const theirs = await staple(other.receipt, other.root, other.entry, place);
    expect(judge(theirs)).toMatchObject({ outcome: "met", searchedThrough: at });
    expect(judge({ ...refuted, snapshots: theirs.snapshots })).toMatchObject({ searchedThrough: null, final: false });
    await append(about("revocation", toHex(node.publicKey)));
    const revoked = await staple(other.receipt, other.root, other.entry, place);
    expect(judge(revoked).checks.find((c) => c.id === "snapshot.searched")?.code).toBe("NODE_NOT_ACTIVE");
  });
});
