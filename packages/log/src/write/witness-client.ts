import { CountersignError, type Suite, toBase64 } from "@countersign/core";
import { parseCheckpoint, parseSize } from "../checkpoint.ts";
import { checkNote, formatNote, mergeNotes, type Note, parseNote } from "../note.ts";
import { evaluateQuorum, type PolicyWitness, type WitnessPolicy } from "../policy.ts";

/** Makes the consistency proof from an older size to the checkpoint's. */
export type ProveFrom = (old: number) => Promise<readonly Uint8Array[]>;

const maxAnswerBytes = 65_536;
const unreachable = (name: string, why: string, cause?: unknown) =>
  new CountersignError("CHECKPOINT_NOT_WITNESSED", { message: `The witness ${name} did not cosign.`, why, cause });

/**
 * Asks one witness to cosign a checkpoint (C2SP tlog-witness); returns the note with its valid cosignatures added.
 *
 * `old` is the size that the witness is believed to know; when it is another, the witness says so and is asked once more.
 *
 * @throws CountersignError CHECKPOINT_NOT_WITNESSED
 */
export async function submitCheckpoint(options: {
  readonly note: string;
  readonly prove: ProveFrom;
  readonly witness: PolicyWitness;
  readonly suite: Suite;
  readonly fetch: typeof fetch;
  readonly old?: number;
  readonly signal?: AbortSignal;
}): Promise<string> {
  const { witness, suite } = options;
  const note = parseNote(options.note);
  const { size } = parseCheckpoint(note.text);
  if (witness.url === undefined) throw unreachable(witness.name, "The policy has no URL for it.");
  const post = async (old: number): Promise<Response> => {
    const proof = await options.prove(old);
    const body = `${[`old ${old}`, ...proof.map(toBase64)].join("\n")}\n\n${options.note}`;
    try {
      return await options.fetch(`${witness.url?.replace(/\/$/, "")}/add-checkpoint`, {
        method: "POST",
        body,
        redirect: "error",
        ...(options.signal && { signal: options.signal }),
      });
    } catch (cause) {
      throw unreachable(witness.name, "It does not answer.", cause);
    }
  };
  let response = await post(Math.min(options.old ?? 0, size));
  if (response.status === 409) {
    const known = parseSize((await readText(response)).replace(/\n$/, ""));
    // A witness that knows more than this checkpoint has seen another writer, or a later one.
    if (known === undefined || known > size) throw unreachable(witness.name, `It knows ${known} entries, not ${size}.`);
    response = await post(known);
  }
  const text = await readText(response);
  if (response.status !== 200) throw unreachable(witness.name, `It answered ${response.status}.`);
  let answer: Note;
  try {
    answer = parseNote(`${note.text}\n${text}`);
  } catch (cause) {
    throw unreachable(witness.name, "Its answer cannot be read.", cause);
  }
  // Lines by other keys are left behind: only what was checked moves into the log's own note.
  const own = answer.signatures.filter(({ name, id }) => name === witness.key.name && id === witness.key.id);
  const check = checkNote({ note: { text: note.text, signatures: own }, keys: [witness.key], suite });
  if (check.status === "failed") throw unreachable(witness.name, check.reason);
  return formatNote(mergeNotes(note, { text: note.text, signatures: own }));
}

async function readText(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const part of response.body ?? []) {
    text += decoder.decode(part, { stream: true });
    if (text.length > maxAnswerBytes) throw unreachable("asked", "Its answer is too long.");
  }
  return text;
}

/**
 * `cosign` for `openLog`: asks all witnesses of a policy at once and rejects unless the quorum cosigned.
 *
 * @throws CountersignError CHECKPOINT_NOT_WITNESSED with each witness's reason in `detail.facts`.
 */
export function cosignBy(options: {
  readonly policy: WitnessPolicy;
  readonly suite: Suite;
  readonly fetch: typeof fetch;
  /** Milliseconds after which a witness counts as not answering, 5,000 by default. */
  readonly timeout?: number;
}): (note: string, prove: ProveFrom) => Promise<string> {
  const known = new Map<string, number>();
  return async (text, prove) => {
    const note = parseNote(text);
    const { size } = parseCheckpoint(note.text);
    const answers = await Promise.allSettled(
      options.policy.witnesses.map((witness) =>
        submitCheckpoint({
          note: text,
          prove,
          witness,
          suite: options.suite,
          fetch: options.fetch,
          old: known.get(witness.name) ?? 0,
          signal: AbortSignal.timeout(options.timeout ?? 5000),
        }).then((cosigned) => {
          known.set(witness.name, size);
          return parseNote(cosigned);
        }),
      ),
    );
    const merged = answers.reduce((all, a) => (a.status === "fulfilled" ? mergeNotes(all, a.value) : all), note);
    const keys = options.policy.witnesses.map(({ key }) => key);
    const check = checkNote({ note: merged, keys, suite: options.suite });
    const quorum = evaluateQuorum(options.policy.quorum, check.status === "ok" ? check.signedBy : []);
    if (quorum.status === "reached") return formatNote(merged);
    const reasons = answers.flatMap((a) => (a.status === "rejected" ? [String((a.reason as Error).message)] : []));
    throw new CountersignError("CHECKPOINT_NOT_WITNESSED", { message: quorum.reason, facts: { reasons } });
  };
}
