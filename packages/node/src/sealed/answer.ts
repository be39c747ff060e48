import { setImmediate as nextTick } from "node:timers/promises";
import { type AnswerSealer, clearFields, writePrivatePart } from "@countersign/channel";
import { type Opening, type RunEvent, type Statement, type TokenLogprob, toBase64, utf8 } from "@countersign/core";
import { type Answer, renderers } from "@countersign/core/render";
import type { Delta, Execute, Execution } from "../execution.ts";
import type { CommittedRun } from "../seal.ts";
import type { OpenedJob } from "./open-job.ts";

type Done = Extract<RunEvent, { readonly type: "done" }>;
type Sealed = Extract<RunEvent, { readonly type: "sealed" }>;

/** Bytes of text in one chunk, and of the private part (spec/channel.md §5: at most 16 MiB). */
const mostText = 256 * 1024;
const mostPrivate = 16 << 20;

const sealedEvent = (bytes: Uint8Array): Sealed => ({ type: "sealed", data: toBase64(bytes) });

/**
 * Answers a sealed job: runs it, writes the answer as OpenAI's clients read it, and lets it out in sealed chunks alone.
 *
 * Events: the answer's nonce, a chunk for each piece of text, `done` with what is no content, the chunk with the private
 * part, which is sealed before anything is signed: the statement names it too, so that whoever changes it shows. `done` tells
 * that the next chunk is the last, so that no reader holds back each chunk to see whether it is. Under `live` a piece leaves as soon as it is there; under the other rules nobody reads before the end, and few large
 * chunks tell less of the tokens than many small ones.
 *
 * @param commit Commits to the run.
 * @param sign Signs what was committed to, with the channel in its statement.
 */
export async function* answerSealed(
  { checked, stream, seal, channel }: OpenedJob,
  execution: Execute,
  context: {
    readonly now: () => number;
    readonly random: (length: number) => Uint8Array;
    readonly commit: (execution: Execution) => CommittedRun;
    readonly sign: (
      execution: Execution,
      committed: CommittedRun,
      channel: NonNullable<Statement["channel"]>,
    ) => Promise<Done>;
  },
): AsyncGenerator<RunEvent, void, void> {
  const sealer = await seal(context.random);
  yield sealedEvent(sealer.nonce);
  const { job, request, served, requestTag } = checked;
  const renderer = renderers[job.path];
  const head = {
    id: requestTag,
    model: served.deployment.model.id,
    created: Math.floor(context.now() / 1000),
    request: request.value,
  };
  const logprobs = new Map<number, TokenLogprob[]>();
  const rendering = stream ? renderer.stream?.(head) : undefined;
  const written = rendering?.open() ?? "";
  const pieces = gather(execution, written, job.demand.release === "live", (delta) => {
    if (delta.logprobs) {
      const list = logprobs.get(delta.choice) ?? [];
      for (const one of delta.logprobs) list.push(one);
      logprobs.set(delta.choice, list);
    }
    return rendering?.delta(delta) ?? "";
  });
  const { rest, run } = yield* sealPieces(pieces, sealer);
  const answer: Answer = { outputs: run.outputs.map(({ output }) => output), result: run.result, logprobs };
  const end = rendering
    ? rest + rendering.close(answer) + rendering.last(answer, undefined)
    : renderer.json(head, answer);
  yield* sealText(end, sealer);
  const committed = context.commit(run);
  const last = await sealer.seal(privatePart(committed, answer), "private");
  const done = await context.sign(run, committed, { ...channel, answer: sealer.digest() });
  yield { ...done, openings: done.openings.filter(({ path }) => clearFields.has(path)), receiptSecret: null };
  yield sealedEvent(last);
}

/**
 * The holder's part, in the one chunk that it must be. What the model saw may be as large as the largest tensors, and then
 * stays closed: the holder has what it was made of.
 */
function privatePart({ openings, receiptSecret }: CommittedRun, answer: Answer): Uint8Array {
  const due = openings.filter((opening) => isPrivate(opening, answer));
  const part = writePrivatePart({ openings: due, receiptSecret });
  if (part.length <= mostPrivate) return part;
  const small = due.filter(({ path }) => !/^(?:forwarded|modelInput)(?:\/|$)/.test(path));
  return writePrivatePart({ openings: small, receiptSecret });
}

/** What only the holder gets, beside what he derives from request and answer by the secret. */
function isPrivate({ path }: Opening, { outputs }: Answer): boolean {
  const [field = "", index] = path.split("/");
  if (clearFields.has(field) || field === "rawRequest" || field === "system") return false;
  if (index === undefined) return true;
  if (field === "messages" || field === "tools") return false;
  if (field !== "output") return true;
  const kind = outputs[0]?.kind;
  return (kind === "message" || kind === "text") && Number(index) % 2 === 1;
}

type Gathered = { readonly rest: string; readonly run: Execution };

/**
 * The run's text in pieces: what comes in one tick of the machine is one piece, so that a burst of tokens costs one chunk.
 *
 * @param live Whether pieces leave before the end; else all of it is the rest.
 */
async function* gather(
  execution: Execute,
  opening: string,
  live: boolean,
  write: (delta: Delta) => string,
): AsyncGenerator<string, Gathered, void> {
  let text = opening;
  let coming = execution.next();
  try {
    for (;;) {
      const step = live && text !== "" ? await Promise.race([coming, nextTick(undefined)]) : await coming;
      if (step === undefined) {
        const piece = text;
        text = "";
        yield piece;
        continue;
      }
      if (step.done) return { rest: text, run: step.value };
      text += write(step.value);
      coming = execution.next();
    }
  } finally {
    // Whoever leaves in between aborts the run; the piece that was awaited fails then, and nobody waits for it.
    coming.catch(() => undefined);
    execution.return(undefined as never).catch(() => undefined);
  }
}

async function* sealPieces(
  pieces: AsyncGenerator<string, Gathered, void>,
  sealer: AnswerSealer,
): AsyncGenerator<Sealed, Gathered, void> {
  try {
    for (;;) {
      const step = await pieces.next();
      if (step.done) return step.value;
      yield* sealText(step.value, sealer);
    }
  } finally {
    await pieces.return(undefined as never);
  }
}

/** Seals text, cut between two characters where it is long. */
async function* sealText(text: string, sealer: AnswerSealer): AsyncGenerator<Sealed, void, void> {
  const bytes = utf8(text);
  for (let from = 0; from < bytes.length; ) {
    let to = Math.min(from + mostText, bytes.length);
    while (to < bytes.length && ((bytes[to] as number) & 0xc0) === 0x80) to--;
    yield sealedEvent(await sealer.seal(bytes.subarray(from, to), "text"));
    from = to;
  }
}
