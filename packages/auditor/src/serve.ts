import { CountersignError, type Hex, toEnvelope } from "@countersign/core";
import { parseCheckpoint, parseNote, type SplitView } from "@countersign/log";
import { Hono } from "hono";
import type { Followed } from "./follow.ts";
import { listSets } from "./snapshots.ts";
import type { Tally } from "./tally.ts";

/** What the auditor's HTTP face shows and asks of it. */
export type Face = {
  readonly origin: string;
  /** Public key of the monitor, hex, and verifier key of the witness. */
  readonly key: Hex;
  readonly witnessKey: string;
  readonly followed: Followed;
  readonly tally: Tally;
  readonly splitView: () => SplitView | undefined;
  readonly fault: () => unknown;
  /** The note that was cosigned last. */
  readonly cosigned: () => Promise<string | undefined>;
  readonly look: () => Promise<void>;
  readonly witness: (request: Request) => Promise<Response>;
  readonly now: () => number;
};

const hex32 = /^[0-9a-f]{64}$/;
const mostKeys = 16;

const invalid = (param: string, message: string) => new CountersignError("REQUEST_FIELD_INVALID", { message, param });

function readQuery(root: string | undefined, keys: string | undefined): { root: Hex; keys: readonly Hex[] } {
  if (root === undefined || !hex32.test(root)) throw invalid("root", "`root` must be a receipt root in hex.");
  const list = keys === undefined || keys === "" ? [] : keys.split(",");
  if (list.length > mostKeys || !list.every((key) => hex32.test(key)))
    throw invalid("keys", `\`keys\` must be up to ${mostKeys} keys in hex, joined by commas.`);
  return { root, keys: list };
}

/** Size of the checkpoint that was cosigned last, -1 before the first. */
async function sizeCosigned(face: Face): Promise<number> {
  const note = await face.cosigned();
  return note === undefined ? -1 : parseCheckpoint(parseNote(note).text).size;
}

/** Who asks for a snapshot has just seen a checkpoint published: the answer should cover it. */
async function catchUp(face: Face): Promise<void> {
  const isDue = async () => {
    const known = face.followed.snapshots()?.checkpoint.size ?? -1;
    return known < 0 || (await sizeCosigned(face)) > known;
  };
  // Twice: a look that was under way may have begun before the checkpoint was there. A failed one leaves the older.
  for (let i = 0; i < 2 && !face.splitView() && (await isDue()); i++) await face.look();
}

/** The words that a person or program sees first. */
function stateOf({ followed, splitView, fault }: Face): string {
  if (splitView()) return "split view";
  if (fault()) return "fault";
  if (!followed.snapshots()) return "starting";
  return followed.shown()?.behind ? "log went back" : "following";
}

async function describe(face: Face): Promise<object> {
  const { followed, tally, splitView } = face;
  const checkpoint = followed.snapshots()?.checkpoint;
  const cosigned = await sizeCosigned(face);
  const size = checkpoint?.size ?? 0;
  const lookedAt = followed.lookedAt() ?? null;
  const fault = face.fault();
  const split = splitView();
  return {
    state: stateOf(face),
    code: split ? "LOG_SPLIT_VIEW" : CountersignError.is(fault) ? fault.code : fault ? "INTERNAL" : null,
    reason: fault instanceof Error ? (fault.message.split("\n")[0] ?? null) : null,
    origin: face.origin,
    monitor: face.key,
    witness: face.witnessKey,
    size,
    checkpoint: checkpoint?.note ?? null,
    cosigned: cosigned < 0 ? null : cosigned,
    lag: {
      entries: Math.max(0, Math.max(cosigned, followed.shown()?.size ?? 0) - size),
      milliseconds: lookedAt === null ? null : Math.max(0, face.now() - lookedAt),
    },
    lookedAt,
    sets: {
      refuted: tally.refuted.size,
      revoked: tally.revoked.size,
      evidence: tally.evidence.size,
      deploymentHeads: tally.deploymentHeads.size,
    },
    contradictions: tally.contradictions(),
    splitView: split ?? null,
  };
}

/** The auditor's routes. */
export function makeRoutes(face: Face): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header("access-control-allow-origin", "*");
    context.header("x-content-type-options", "nosniff");
    if (!context.res.headers.has("cache-control")) context.header("cache-control", "no-store");
  });
  app.onError((error, context) => {
    const { status, body } = toEnvelope(error);
    return context.json(body, status as 400);
  });
  app.notFound((context) => {
    const missing = new CountersignError("ENDPOINT_UNKNOWN", { message: "An auditor has no such path." });
    return context.json(toEnvelope(missing).body, 404);
  });

  app.post("/add-checkpoint", async (context) => {
    // A cosignature would help the log to show its second history.
    if (face.splitView()) return context.text("LOG_SPLIT_VIEW: this log signed two histories; see /status.\n", 403);
    return face.witness(context.req.raw);
  });
  app.get("/:origin{[0-9a-f]+}/checkpoint", (context) => face.witness(context.req.raw));

  app.get("/snapshot", async (context) => {
    const { root, keys } = readQuery(context.req.query("root"), context.req.query("keys"));
    await catchUp(face);
    if (face.splitView())
      throw new CountersignError("LOG_SPLIT_VIEW", {
        message: "The log signed two histories, so nothing can be said about what it does not hold.",
        remedy: "The evidence is at /status.",
      });
    const snapshots = face.followed.snapshots();
    if (!snapshots) throw new CountersignError("NOT_READY", { message: "The auditor has not seen the log yet." });
    const { envelope, checkpoint } = snapshots;
    return context.json({
      envelope,
      proofs: snapshots.prove(root, keys),
      checkpoint: checkpoint.note,
      cosigned: (await sizeCosigned(face)) >= checkpoint.size,
    });
  });
  app.get("/lists", (context) => {
    const snapshots = face.followed.snapshots();
    return context.json({ envelope: snapshots?.envelope ?? null, lists: listSets(face.tally) });
  });
  app.get("/stats", (context) =>
    context.json({ size: face.followed.snapshots()?.checkpoint.size ?? 0, ...face.tally.stats() }),
  );
  app.get("/status", async (context) => context.json(await describe(face)));
  // Alive and of use; a log that can't be reached is the log's fault and stands at /status.
  app.get("/healthz", (context) =>
    context.json({ ok: !face.splitView(), state: stateOf(face) }, face.splitView() ? 503 : 200),
  );
  return app;
}
