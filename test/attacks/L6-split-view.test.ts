import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAuditor } from "@countersign/auditor";
import { utf8 } from "@countersign/core";
import { ed25519Signer, generateSeed, nodeSuite } from "@countersign/core/node";
import { checkSplitView, formatCheckpoint, layOutLog, type SplitView, signNote, verifierKey } from "@countersign/log";
import { expect, test } from "vitest";
import { trust } from "../fixtures/receipt.ts";
import { codesOf, find, honest, judgeIt } from "./receipts.ts";

test("L6: an auditor that is shown two histories of one size keeps the evidence and cosigns nothing more", async () => {
  const signer = ed25519Signer(generateSeed());
  const origin = "log.test/split";
  const key = verifierKey(origin, "note", signer.publicKey);
  const directory = mkdtempSync(join(tmpdir(), "countersign-l6-"));
  const auditor = await startAuditor({
    name: "auditor.test/one",
    directory,
    listen: { host: "127.0.0.1", port: 0 },
    log: { key, url: "http://127.0.0.1:9/log/" },
    standing: { refute: [], revoke: [] },
    every: 0,
  });
  try {
    const noteOf = (entries: readonly string[]) => {
      const { size, root } = layOutLog(entries.map(utf8));
      return signNote(formatCheckpoint({ origin, size, root }), { name: origin, signer });
    };
    const show = async (old: number, note: string) =>
      (await fetch(`${auditor.url}/add-checkpoint`, { method: "POST", body: `old ${old}\n\n${note}` })).status;
    expect(await show(0, noteOf(["a", "b"]))).toBe(200);
    expect(await show(2, noteOf(["a", "b"]))).toBe(200);
    expect(await show(2, noteOf(["a", "x"]))).toBe(422);
    expect(await show(2, noteOf(["a", "b"]))).toBe(403);
    const status = (await (await fetch(`${auditor.url}/status`)).json()) as { code: string; splitView: SplitView };
    expect(status.code).toBe("LOG_SPLIT_VIEW");
    expect(checkSplitView({ evidence: status.splitView, log: key, suite: nodeSuite }).status).toBe("ok");
    // Evidence cannot be made up against an honest log.
    const made = { ...status.splitView, larger: status.splitView.smaller };
    expect(checkSplitView({ evidence: made, log: key, suite: nodeSuite }).status).toBe("failed");
  } finally {
    await auditor.close();
    rmSync(directory, { recursive: true, force: true });
  }
});

test("L6: a checkpoint that too few witnesses cosigned is not `logged`", () => {
  const [inclusion] = honest.receipt.inclusion as [(typeof honest.receipt.inclusion)[number]];
  const lines = inclusion.proof.split("\n");
  const proof = lines.filter((l) => !l.startsWith("— witness.test/two ")).join("\n");
  expect(proof).not.toBe(inclusion.proof);
  const verdict = judgeIt({ ...honest.receipt, inclusion: [{ ...inclusion, proof }] }, { policy: "logged" });
  expect(find(verdict, "logged", "log")).toBe("unproven");
  expect(codesOf(verdict)).toContain("CHECKPOINT_NOT_WITNESSED");
  // Outside development one operator's cosignature is not enough, whatever a trust file's quorum says (B5).
  const [, one = ""] = /^(witness one .*)$/m.exec(trust.witnesses) ?? [];
  const alone = { ...trust, development: false, witnesses: `${one}\nquorum one\n` };
  expect(find(judgeIt(honest.receipt, { trust: alone, policy: "logged" }), "logged", "log")).toBe("unproven");
});
