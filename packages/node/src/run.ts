import { randomBytes } from "node:crypto";
import { CountersignError, type RunEvent } from "@countersign/core";
import { type CheckedJob, checkOuter, type JobRules, readInner } from "./check-job.ts";
import type { Engines } from "./engines/engines.ts";
import { executeEmbedding, executeTensors } from "./execute-tensors.ts";
import { executeText } from "./execute-text.ts";
import { executeUpstream } from "./execute-upstream.ts";
import type { Execute } from "./execution.ts";
import { readTask } from "./read-task.ts";
import { commitRun, type SealContext, sealRun, signCommitted } from "./seal.ts";
import { answerSealed } from "./sealed/answer.ts";
import { type OpenContext, type OpenedJob, openJob } from "./sealed/open-job.ts";
import { quiet } from "./sealed/quiet.ts";
import type { RequestTags } from "./tags.ts";

/** Everything a run stands on. */
export type NodeContext = JobRules &
  SealContext &
  OpenContext & {
    readonly engines: Engines;
    readonly tags: RequestTags;
    /** Milliseconds from the job's arrival to its last token. */
    readonly runLimit: number;
  };

/** Randomness of the system. */
export const systemRandom = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

/**
 * The story of a run: check the job, open the request if it is sealed, read it, run the model, commit, sign.
 *
 * Whatever fails becomes one `error` event and leaves no signature behind.
 *
 * @param input The job as received: nothing of it is believed.
 * @param signal Aborts the run: RUN_CANCELLED.
 */
export async function* run(
  input: unknown,
  node: NodeContext,
  signal: AbortSignal,
): AsyncGenerator<RunEvent, void, void> {
  const timer = new AbortController();
  const timeout = setTimeout(() => timer.abort(timedOut(node.runLimit)), node.runLimit);
  const leave = new AbortController();
  const cancel = () => leave.abort(cancelled());
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel, { once: true });
  let release: (() => void) | undefined;
  let opened: OpenedJob | undefined;
  try {
    const outer = checkOuter(input, node);
    opened = await openJob(outer, node);
    const checked = opened?.checked ?? readInner(outer, outer.body);
    release = node.tags.reserve(checked.requestTag, node.now());
    const stop = AbortSignal.any([timer.signal, leave.signal]);
    if (opened) {
      yield* answerSealed(opened, execute(checked, node.engines, stop), {
        ...node,
        commit: (execution) => commitRun(checked, execution, node),
        sign: (execution, committed, channel) =>
          signOnce(checked, node, stop, () => signCommitted(checked, execution, committed, node, channel)),
      });
      return;
    }
    const execution = yield* execute(checked, node.engines, stop);
    for (const [choice, { output }] of execution.outputs.entries()) yield { type: "output", choice, output };
    yield await signOnce(checked, node, stop, () => sealRun(checked, execution, node));
  } catch (error) {
    // What an error says of an opened request is content.
    yield toErrorEvent(opened ? quiet(error) : error);
  } finally {
    release?.();
    clearTimeout(timeout);
    signal.removeEventListener("abort", cancel);
    // A caller who stops reading leaves here without an abort of his own: whatever still runs is stopped.
    leave.abort(cancelled());
  }
}

/** Signs a run, unless its caller left, and keeps its tag: no offer is answered twice. */
async function signOnce<D>(checked: CheckedJob, node: NodeContext, stop: AbortSignal, sign: () => D): Promise<D> {
  stop.throwIfAborted();
  const done = sign();
  await node.tags.sign(checked.requestTag, checked.offer.expires);
  return done;
}

/** Runs a checked job on the engine of its deployment. */
export async function* execute(checked: CheckedJob, engines: Engines, signal: AbortSignal): Execute {
  const { served, request } = checked;
  if (served.engine.kind === "upstream") return yield* executeUpstream(checked, served.engine, signal);
  const read = readTask(request, served);
  if (read.kind === "tensors") return yield* executeTensors(read.engine, read.inputs, engines, signal);
  if (read.kind === "embedding") return yield* executeEmbedding(read.engine, read.task, read.texts, engines, signal);
  return yield* executeText(checked, read.task, read.engine, engines, signal);
}

const cancelled = () =>
  new CountersignError("RUN_CANCELLED", { message: "The caller went away; the run was stopped." });
const timedOut = (limit: number) =>
  new CountersignError("RUN_TIMEOUT", {
    message: `The run took longer than ${limit / 1000} s and was stopped. Nothing was signed and nothing is charged.`,
    remedy: "Ask for fewer tokens, or another node.",
  });

/** The one event that tells of a failure; what is not ours tells nothing of its inside. */
export function toErrorEvent(error: unknown): Extract<RunEvent, { readonly type: "error" }> {
  if (!CountersignError.is(error)) {
    console.error(error);
    return { type: "error", code: "INTERNAL", message: "The node failed in a way it does not know." };
  }
  const { message, why, param } = error.detail;
  return {
    type: "error",
    code: error.code,
    message: why ? `${message} ${why}` : message,
    ...(param !== undefined && { param }),
  };
}
