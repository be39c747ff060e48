import { CountersignError, equalBytes, fromUtf8, type Signer, type Suite, sha256Hex, utf8 } from "@countersign/core";
import { type Checkpoint, parseCheckpoint, parseHash, parseSize } from "../checkpoint.ts";
import { checkConsistency } from "../consistency.ts";
import { cosign } from "../cosignature.ts";
import { checkNote, formatNote, formatSignatureLine, type Note, parseNote } from "../note.ts";
import { type SplitView, splitView } from "../split-view.ts";
import { emptyRoot } from "../tree.ts";
import { type VerifierKey, verifierKey } from "../vkey.ts";
import { nativeSha256 } from "./native-hash.ts";
import type { WitnessStore } from "./witness-store.ts";

/** Who a witness is and which logs it follows. */
export type WitnessOptions = {
  readonly name: string;
  /** A key of its own: the message that is signed does not name the cosigner. */
  readonly signer: Signer;
  /** Keys of the logs that it cosigns; the name of each is the log's origin. */
  readonly logs: readonly VerifierKey[];
  readonly store: WitnessStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly suite: Suite;
  /** Hears of a log that signed two roots for one size, with the evidence. */
  readonly onSplitView?: (evidence: SplitView) => void;
};

/** A witness: its public key and its HTTP face. */
export type Witness = {
  readonly key: VerifierKey;
  /** `POST …/add-checkpoint` and `GET …/<SHA-256 of the origin>/checkpoint` (C2SP tlog-witness). */
  readonly handle: (request: Request) => Promise<Response>;
};

const maxRequestBytes = 262_144;
type Submission = {
  readonly old: number;
  readonly proof: readonly Uint8Array[];
  readonly note: Note;
  readonly checkpoint: Checkpoint;
};

/** Makes a witness. @throws CountersignError NOTE_MALFORMED for a name that is none, TRUST_MALFORMED for a key in two roles. */
export function createWitness(options: WitnessOptions): Witness {
  const key = verifierKey(options.name, "cosignature", options.signer.publicKey);
  if (options.logs.some((log) => log.use !== "note" || equalBytes(log.publicKey, key.publicKey)))
    throw new CountersignError("TRUST_MALFORMED", {
      message: "A witness's key is no log's, and it follows note keys.",
    });
  return {
    key,
    async handle(request) {
      const { pathname } = new URL(request.url);
      if (pathname.endsWith("/add-checkpoint"))
        return request.method === "POST" ? addCheckpoint(request, key, options) : answer(405, "Only POST.");
      const origin = /\/([0-9a-f]{64})\/checkpoint$/.exec(pathname)?.[1];
      if (origin === undefined) return answer(404, "A witness has no such path.");
      return request.method === "GET" ? readCheckpoint(origin, options) : answer(405, "Only GET.");
    },
  };
}

async function addCheckpoint(request: Request, key: VerifierKey, options: WitnessOptions): Promise<Response> {
  const submission = await readSubmission(request);
  if (typeof submission === "string") return answer(400, submission);
  const { old, note, checkpoint } = submission;
  const keys = options.logs.filter((log) => log.name === checkpoint.origin);
  if (keys.length === 0) return answer(404, "This witness does not follow that log.");
  const signed = checkNote({ note, keys, suite: options.suite });
  if (signed.status === "failed") return answer(403, signed.reason);
  if (old > checkpoint.size) return answer(400, "The old size is larger than the checkpoint's.");

  const before = await options.store.read(checkpoint.origin);
  const stored = before === undefined ? undefined : parseNote(before);
  const last = stored && parseCheckpoint(stored.text);
  if (old !== (last?.size ?? 0)) return conflict(last?.size ?? 0);
  const fault = findFault(submission, last);
  if (fault !== undefined) {
    if (before !== undefined && last && last.size === checkpoint.size && !equalBytes(last.root, checkpoint.root))
      options.onSplitView?.(splitView(before, formatNote(note), checkpoint.root, []));
    return answer(422, fault);
  }

  const time = Math.floor(options.now() / 1000);
  // "The largest tree seen as of this time": a clock that went back would sign a contradiction.
  if (stored && time < lastTime(stored, key, options.suite)) return answer(503, "The witness's clock went backwards.");
  const line = cosign(note.text, time, { name: options.name, signer: options.signer });
  const ofLog = note.signatures.filter((s) => keys.some(({ name, id }) => s.name === name && s.id === id));
  // Compare and replace in one step, before the answer: else a slower request of a smaller size rolls the record back.
  if (
    !(await options.store.swap(
      checkpoint.origin,
      before,
      formatNote({ text: note.text, signatures: [...ofLog, line] }),
    ))
  ) {
    const now = await options.store.read(checkpoint.origin);
    return conflict(now === undefined ? 0 : parseCheckpoint(parseNote(now).text).size);
  }
  return answer(200, formatSignatureLine(line));
}

function findFault({ old, proof, checkpoint }: Submission, last: Checkpoint | undefined): string | undefined {
  const { size, root } = checkpoint;
  if (size === 0 && !equalBytes(root, emptyRoot)) return "The empty tree has another root.";
  const oldRoot = last?.root ?? emptyRoot;
  const check = checkConsistency({ old, oldRoot, size, root, proof, hash: nativeSha256 });
  return check.status === "ok" ? undefined : check.reason;
}

function lastTime(stored: Note, key: VerifierKey, suite: Suite): number {
  const check = checkNote({ note: stored, keys: [key], suite });
  return check.status === "ok" ? (check.signedBy[0]?.time ?? 0) : 0;
}

async function readSubmission(request: Request): Promise<Submission | string> {
  const body = await readBody(request);
  if (body === undefined) return "The body is too large or no UTF-8.";
  const gap = body.indexOf("\n\n");
  if (gap < 0) return "The body has no blank line before the checkpoint.";
  const [oldLine = "", ...hashes] = body.slice(0, gap).split("\n");
  const old = oldLine.startsWith("old ") ? parseSize(oldLine.slice(4)) : undefined;
  if (old === undefined) return "The body does not begin with an old size.";
  if (hashes.length > 63) return "The proof has more than 63 hashes.";
  const proof = hashes.map(parseHash);
  if (!proof.every((hash) => hash !== undefined)) return "A proof line is not the base64 of 32 bytes.";
  try {
    const note = parseNote(body.slice(gap + 2));
    return { old, proof, note, checkpoint: parseCheckpoint(note.text) };
  } catch (error) {
    if (CountersignError.is(error)) return error.detail.message;
    throw error;
  }
}

async function readBody(request: Request): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request.body ?? []) {
    length += part.length;
    if (length > maxRequestBytes) return undefined;
    parts.push(part);
  }
  try {
    return fromUtf8(Buffer.concat(parts));
  } catch {
    return undefined;
  }
}

async function readCheckpoint(hash: string, { logs, store }: WitnessOptions): Promise<Response> {
  const log = logs.find(({ name }) => sha256Hex(utf8(name)) === hash);
  const note = log && (await store.read(log.name));
  return note === undefined ? answer(404, "No checkpoint of that log was cosigned.") : plain(200, note);
}

const plain = (status: number, body: string, type = "text/plain; charset=utf-8"): Response =>
  new Response(body, { status, headers: { "content-type": type, "cache-control": "no-store" } });
const answer = (status: number, line: string): Response => plain(status, `${line}\n`);
const conflict = (size: number): Response => plain(409, `${size}\n`, "text/x.tlog.size");
