import { join } from "node:path";
import { startAuditor } from "@countersign/auditor";
import { type ErrorCode, utf8 } from "@countersign/core";
import { ed25519Signer, generateSeed, nodeSuite } from "@countersign/core/node";
import { checkSplitView, formatCheckpoint, layOutLog, type SplitView, signNote, verifierKey } from "@countersign/log";
import type { Play } from "./fraud.ts";

/** A log shows two histories of one size, each signed with its key, to people who never meet. */
export const playSplitLog: Play = async (stage) => {
  const signer = ed25519Signer(generateSeed());
  const origin = "localhost/split";
  const key = verifierKey(origin, "note", signer.publicKey);
  const auditor = await startAuditor({
    name: "auditor.localhost/frauds",
    directory: join(stage.scratch, "auditor"),
    listen: { host: "127.0.0.1", port: 0 },
    // It is shown the checkpoints; that this log serves no tiles is no help to it.
    log: { key, url: "http://127.0.0.1:9/log/" },
    standing: { refute: [], revoke: [] },
    every: 0,
  });
  try {
    const historyOf = (entries: readonly string[]) => {
      const { size, root } = layOutLog(entries.map(utf8));
      return signNote(formatCheckpoint({ origin, size, root }), { name: origin, signer });
    };
    const show = async (old: number, note: string) =>
      (await fetch(`${auditor.url}/add-checkpoint`, { method: "POST", body: `old ${old}\n\n${note}` })).status;
    const first = await show(0, historyOf(["a receipt", "a refutation of it"]));
    const second = await show(2, historyOf(["a receipt", "nothing to see here"]));
    const status = (await (await fetch(`${auditor.url}/status`)).json()) as {
      code: ErrorCode | null;
      splitView: SplitView | null;
    };
    const evidence = status.splitView;
    const check = evidence ? checkSplitView({ evidence, log: key, suite: nodeSuite }) : undefined;
    const expected = "LOG_SPLIT_VIEW";
    return {
      name: "split-log",
      what: "the log's key signs two histories of one size",
      by: "the log",
      expected,
      caught: status.code,
      held: first === 200 && second !== 200 && status.code === expected && check?.status === "ok",
      detail: `The auditor cosigned the first history (${first}) and refused the second (${second}); the two signed heads are evidence, which ${check?.status === "ok" ? "checks" : "DOES NOT CHECK"} without the auditor.`,
    };
  } finally {
    await auditor.close();
  }
};
