import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Entry,
  encodeEntry,
  fromBase64Url,
  fromHex,
  type Hex,
  isSignedBy,
  noDigest,
  readSnapshot,
  sha256Hex,
  toHex,
  utf8,
} from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import {
  checkNote,
  checkSetProof,
  checkSplitView,
  decodeSetProof,
  formatCheckpoint,
  layOutLog,
  parseNote,
  parseVkey,
  type SplitView,
  signNote,
  verifierKey,
} from "@countersign/log";
import { cosignBy, openLog, serveLog, submitCheckpoint } from "@countersign/log/write";
import { serve } from "@hono/node-server";
import { afterEach, describe, expect, it } from "vitest";
import { type Auditor, startAuditor } from "./auditor.ts";
import type { AuditorConfig } from "./config.ts";

const origin = "test.example/log";
const signer = ed25519Signer(new Uint8Array(32).fill(1));
const key = verifierKey(origin, "note", signer.publicKey);
const digest = (n: number): Hex => sha256Hex(utf8(`digest ${n}`));
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function directory(): string {
  const dir = mkdtempSync(join(tmpdir(), "countersign-auditor-"));
  closers.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const entryOf = (part: Partial<Entry>): Uint8Array =>
  encodeEntry({
    kind: "receipt",
    flags: [],
    subject: noDigest,
    envelope: noDigest,
    issuer: digest(1),
    model: digest(2),
    tag: noDigest,
    deployment: noDigest,
    demanded: [1],
    bought: 1,
    delivered: 1,
    tokens: 3,
    value: 4,
    hour: 5,
    ...part,
  });
const receipt = (n: number, part: Partial<Entry> = {}) =>
  entryOf({ subject: digest(1000 + n), envelope: digest(2000 + n), tag: digest(3000 + n), ...part });

/** Serves whatever `handle` is at the moment. */
async function host(handle: (request: Request) => Promise<Response>): Promise<string> {
  return new Promise((resolve) => {
    const server = serve({ fetch: handle, hostname: "127.0.0.1", port: 0 }, ({ port }) =>
      resolve(`http://127.0.0.1:${port}/log/`),
    );
    closers.push(() => {
      if ("closeAllConnections" in server) server.closeAllConnections();
      return new Promise((done) => server.close(done));
    });
  });
}

async function audit(url: string, dir: string, now = () => 1_800_000_000_000): Promise<Auditor> {
  const config: AuditorConfig = {
    name: "test.example/auditor",
    directory: dir,
    listen: { host: "127.0.0.1", port: 0 },
    log: { key, url },
    standing: { refute: [digest(1)], revoke: [digest(1)] },
    every: 0,
  };
  const auditor = await startAuditor(config, { now });
  let open = true;
  closers.push(() => open && auditor.close());
  return {
    ...auditor,
    close: () => {
      open = false;
      return auditor.close();
    },
  };
}

const get = async (auditor: Auditor, path: string) => {
  const answer = await fetch(`${auditor.url}${path}`);
  // biome-ignore lint/suspicious/noExplicitAny: the test asserts on the shape.
  return { status: answer.status, body: (await answer.json()) as any };
};

/** A log in memory that can lie: whole states by checkpoint. */
function stateOf(entries: readonly Uint8Array[]) {
  const log = layOutLog(entries);
  const note = signNote(formatCheckpoint({ origin, size: log.size, root: log.root }), { name: origin, signer });
  const prove = async () => [] as Uint8Array[];
  return { ...log, note, prove };
}

async function hostStates() {
  const served = { state: stateOf([]) };
  const url = await host(async (request) => {
    const path = new URL(request.url).pathname.slice("/log/".length);
    if (path === "checkpoint") return new Response(served.state.note);
    const bytes = served.state.files.get(path);
    return bytes ? new Response(bytes as Uint8Array<ArrayBuffer>) : new Response("none", { status: 404 });
  });
  return { url, show: (entries: readonly Uint8Array[]) => (served.state = stateOf(entries)), served };
}

/** Absence or presence as packages/verify asks for it. */
function prove(root: Hex, kind: "set" | "map", about: Hex, text: string) {
  return checkSetProof({ root: fromHex(root), kind, key: fromHex(about), proof: decodeSetProof(fromBase64Url(text)) });
}

describe("an auditor of a real log", () => {
  it("cosigns, mirrors, signs snapshots and proves absence and presence", async () => {
    const dir = directory();
    let handle: (request: Request) => Promise<Response> = async () => new Response(null, { status: 404 });
    const url = await host((request) => handle(request));
    const auditor = await audit(url, join(dir, "auditor"));
    const vkey = parseVkey(auditor.witnessKey);
    const witness = { name: "auditor", key: vkey, url: auditor.url };
    const policy = { witnesses: [witness], quorum: { kind: "witness" as const, name: "auditor", key: vkey } };
    const log = await openLog({
      dir: join(dir, "log"),
      origin,
      signer,
      suite: nodeSuite,
      cosign: cosignBy({ policy, suite: nodeSuite, fetch }),
    });
    closers.push(log.close);
    handle = serveLog({ fetchTile: log.fetchTile, prefix: "/log/" });

    const node = digest(7);
    const gateway = digest(8);
    const all = [
      ...Array.from({ length: 300 }, (_, i) => receipt(i)),
      entryOf({ kind: "refutation", subject: digest(1005), envelope: digest(11) }),
      entryOf({ kind: "revocation", subject: node, envelope: digest(12) }),
      entryOf({ kind: "evidence", subject: digest(1004), envelope: digest(13) }),
      entryOf({ kind: "deployment", subject: digest(21), deployment: digest(20), envelope: digest(14) }),
    ];
    const appended = await Promise.all(all.map((entry) => log.append(entry)));
    await Promise.all(appended.map((a) => a.integrated));
    expect(checkNote({ note: parseNote(log.checkpoint()), keys: [key, vkey], suite: nodeSuite })).toMatchObject({
      status: "ok",
      signedBy: [{ key: { name: origin } }, { key: { name: "test.example/auditor" } }],
    });

    // Nobody told the auditor to look: the question makes it catch up with what it cosigned.
    const { status, body } = await get(auditor, `/snapshot?root=${digest(1004)}&keys=${node},${gateway}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ cosigned: true, checkpoint: log.checkpoint() });
    const { subject, predicate } = readSnapshot(body.envelope);
    expect(isSignedBy(body.envelope, auditor.key, nodeSuite)).toBe(true);
    expect(auditor.key).not.toBe(toHex(vkey.publicKey));
    expect(subject).toBe(toHex(log.head().root));
    expect(predicate).toMatchObject({ origin, size: 304, monitor: auditor.key, time: 1_800_000_000_000 });
    expect(prove(predicate.refuted.root, "set", digest(1004), body.proofs.refuted)).toEqual({ status: "absent" });
    expect(prove(predicate.revoked.root, "set", node, body.proofs.revoked[0])).toEqual({ status: "member" });
    expect(prove(predicate.revoked.root, "set", gateway, body.proofs.revoked[1])).toEqual({ status: "absent" });
    expect(prove(predicate.evidence.root, "map", digest(1004), body.proofs.evidence).status).toBe("member");
    const other = (await get(auditor, `/snapshot?root=${digest(1005)}`)).body;
    expect(prove(predicate.refuted.root, "set", digest(1005), other.proofs.refuted)).toEqual({ status: "member" });
    // A proof about one key says nothing about another.
    expect(prove(predicate.refuted.root, "set", digest(1005), body.proofs.refuted).status).toBe("failed");

    const lists = (await get(auditor, "/lists")).body.lists;
    expect(lists).toMatchObject({ revoked: [node], deploymentHeads: [[digest(20), digest(21)]] });
    expect((await get(auditor, "/status")).body).toMatchObject({
      state: "following",
      size: 304,
      cosigned: 304,
      lag: { entries: 0 },
      contradictions: [],
      splitView: null,
    });
  });

  it("finds two receipts for one request, and entries that are none", async () => {
    const { url, show } = await hostStates();
    show([
      receipt(1),
      receipt(2, { tag: digest(3001) }),
      utf8("no entry"),
      receipt(3, { tag: noDigest }),
      receipt(1),
      receipt(4, { flags: ["synthetic"], demanded: [8], bought: 8, delivered: 8 }),
      receipt(5, { flags: ["simulated", "development"], demanded: [4, 5], bought: 5, delivered: 4 }),
      receipt(6, { demanded: [1, 8] }),
    ]);
    const auditor = await audit(url, directory());
    await auditor.look();
    expect((await get(auditor, "/status")).body.contradictions).toEqual([
      { kind: "request-tag-twice", tag: digest(3001), entries: [0, 1] },
      { kind: "unreadable-entry", entries: [2], reason: "It has 8 bytes, not 216." },
      { kind: "receipt-without-tag", entries: [3] },
    ]);
    expect((await get(auditor, "/stats")).body).toMatchObject({
      series: "claimed",
      entries: 8,
      receipts: 6,
      synthetic: 1,
      development: 1,
      levels: {
        // The demand `signature | zkml` counts for neither.
        signature: { demanded: 4, bought: 6, delivered: 5 },
        hardware: { demanded: 0, bought: 0, delivered: 0 },
        simulated: { demanded: 1, bought: 1, delivered: 1 },
        proof: { demanded: 0, bought: 0, delivered: 0 },
      },
    });
  });

  it("refuses questions that it cannot read", async () => {
    const { url } = await hostStates();
    const auditor = await audit(url, directory());
    const root = digest(1);
    for (const query of ["", "?root=12", `?root=${root.toUpperCase()}`, `?root=${root}&keys=x`]) {
      expect((await get(auditor, `/snapshot${query}`)).body.error.code, query).toBe("REQUEST_FIELD_INVALID");
    }
    const many = Array.from({ length: 17 }, () => root).join(",");
    expect((await get(auditor, `/snapshot?root=${root}&keys=${many}`)).status).toBe(400);
    expect((await get(auditor, "/nothing")).body.error.code).toBe("ENDPOINT_UNKNOWN");
  });
});

describe("an auditor of a log that lies", () => {
  const entries = Array.from({ length: 9 }, (_, i) => receipt(i));
  const forged = [...entries.slice(0, 3), receipt(77), ...entries.slice(4)];

  const ask = (auditor: Auditor, note: string, old = 0) =>
    submitCheckpoint({
      note,
      prove: async () => [],
      witness: { name: "auditor", key: parseVkey(auditor.witnessKey), url: auditor.url },
      suite: nodeSuite,
      fetch,
      old,
    });

  it.each([
    ["grows from another past", 5, forged],
    ["shows another root for one size", 9, forged],
    ["goes back to another past", 9, forged.slice(0, 6)],
  ])("keeps the evidence when it %s, and cosigns no more", async (_, known, shown) => {
    const { url, show, served } = await hostStates();
    const dir = directory();
    show(entries.slice(0, known));
    const before = served.state.note;
    const auditor = await audit(url, dir);
    await auditor.look();
    expect((await get(auditor, "/status")).body).toMatchObject({ state: "following", size: known });
    show(shown);
    await auditor.look();
    const { body } = await get(auditor, "/status");
    expect(body).toMatchObject({ state: "split view", code: "LOG_SPLIT_VIEW", size: known });
    expect(checkSplitView({ evidence: body.splitView as SplitView, log: key, suite: nodeSuite }).status).toBe("ok");
    expect([body.splitView.smaller, body.splitView.larger].sort()).toEqual([before, served.state.note].sort());
    expect((await get(auditor, `/snapshot?root=${digest(1)}`)).body.error.code).toBe("LOG_SPLIT_VIEW");
    await expect(ask(auditor, before)).rejects.toThrow(/CHECKPOINT_NOT_WITNESSED/);
    // A restart does not forget it, even when the log now shows the old history again.
    await auditor.close();
    show(entries.slice(0, known));
    const again = await audit(url, dir);
    await again.look();
    expect((await get(again, "/status")).body.code).toBe("LOG_SPLIT_VIEW");
    expect((await get(again, "/healthz")).status).toBe(503);
    await expect(ask(again, before)).rejects.toThrow(/CHECKPOINT_NOT_WITNESSED/);
  });

  it("notices that the witness was shown another log than the monitor", async () => {
    const { url, show } = await hostStates();
    const auditor = await audit(url, directory());
    await ask(auditor, stateOf(forged.slice(0, 6)).note);
    show(entries);
    await auditor.look();
    expect((await get(auditor, "/status")).body.code).toBe("LOG_SPLIT_VIEW");
  });

  it("is not led backwards, and does not call an old copy a lie", async () => {
    const { url, show } = await hostStates();
    let time = 1_800_000_000_000;
    const auditor = await audit(url, directory(), () => time);
    show(entries);
    await auditor.look();
    const searched = async () =>
      readSnapshot((await get(auditor, `/snapshot?root=${digest(1)}`)).body.envelope).predicate;
    expect(await searched()).toMatchObject({ size: 9, time });
    time += 60_000;
    await auditor.look();
    expect(await searched()).toMatchObject({ size: 9, time });
    show(entries.slice(0, 4));
    time += 60_000;
    await auditor.look();
    expect((await get(auditor, "/status")).body).toMatchObject({ state: "log went back", size: 9, code: null });
    // What an old copy shows says nothing about now.
    expect(await searched()).toMatchObject({ size: 9, time: time - 60_000 });
  });

  it("takes nothing that does not hash to the checkpoint", async () => {
    const { url, show, served } = await hostStates();
    show(entries);
    served.state = { ...stateOf(forged), note: served.state.note };
    const auditor = await audit(url, directory());
    await auditor.look();
    expect((await get(auditor, "/status")).body).toMatchObject({ state: "fault", code: "PROOF_INVALID", size: 0 });
    expect((await get(auditor, `/snapshot?root=${digest(1)}`)).body.error.code).toBe("NOT_READY");
  });
});

describe("an auditor that starts again", () => {
  const entries = Array.from({ length: 5 }, (_, i) => receipt(i, { tag: digest(3000) }));

  it("continues with its keys, its copy and its cosignatures, and cosigns no rollback", async () => {
    const { url, show, served } = await hostStates();
    const dir = directory();
    const first = await audit(url, dir);
    show(entries);
    const { note } = served.state;
    const ask = (auditor: Auditor, text: string) =>
      fetch(`${auditor.url}/add-checkpoint`, { method: "POST", body: `old 0\n\n${text}` });
    expect((await ask(first, note)).status).toBe(200);
    await first.look();
    const before = (await get(first, "/status")).body;
    await first.close();
    // Half an entry that was written when the power went does not count.
    writeFileSync(join(dir, "mirror", "entries.bin"), "\0", { flag: "a" });
    show([]);
    const second = await audit(url, dir);
    expect([second.key, second.witnessKey]).toEqual([first.key, first.witnessKey]);
    const after = (await get(second, "/status")).body;
    expect(after).toMatchObject({ size: 5, cosigned: 5, contradictions: before.contradictions });
    expect(before.contradictions).toHaveLength(4);
    const rollback = await ask(second, stateOf(entries.slice(0, 3)).note);
    expect([rollback.status, rollback.headers.get("content-type"), await rollback.text()]).toEqual([
      409,
      "text/x.tlog.size",
      "5\n",
    ]);
    show([...entries, receipt(9)]);
    await second.look();
    await second.close();
    expect((await get(await audit(url, dir), "/status")).body.size).toBe(6);
  });

  it("refuses a copy that was changed on the disk, and a directory in use", async () => {
    const { url, show } = await hostStates();
    const dir = directory();
    const first = await audit(url, dir);
    show(entries);
    await first.look();
    await expect(audit(url, dir)).rejects.toThrow(/LOG_LOCKED/);
    await first.close();
    const file = join(dir, "mirror", "entries.bin");
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill((bytes[100] as number) ^ 1, 100, 101));
    await expect(audit(url, dir)).rejects.toThrow(/LOG_CORRUPT/);
    // The failed start gave the directory back.
    writeFileSync(file, bytes.fill((bytes[100] as number) ^ 1, 100, 101));
    await audit(url, dir);
  });
});
