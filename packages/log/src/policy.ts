import { CountersignError, toHex } from "@countersign/core";
import type { SignedBy } from "./note.ts";
import { parseVkey, sameKey, type VerifierKey } from "./vkey.ts";

/** Which cosignatures suffice: none, one witness, or at least `threshold` members of a group. */
export type Quorum =
  | { readonly kind: "none" }
  | { readonly kind: "witness"; readonly name: string; readonly key: VerifierKey }
  | {
      readonly kind: "group";
      readonly name: string;
      readonly threshold: number;
      readonly members: readonly Exclude<Quorum, { readonly kind: "none" }>[];
    };

/** A log or witness of a policy; `url` means something only to those who talk to it. */
export type PolicyLog = { readonly key: VerifierKey; readonly url?: string };
export type PolicyWitness = PolicyLog & { readonly name: string };

/** Whom to believe about checkpoints beside the log itself. */
export type WitnessPolicy = { readonly witnesses: readonly PolicyWitness[]; readonly quorum: Quorum };

/** A whole policy file (C2SP tlog-policy). */
export type TlogPolicy = WitnessPolicy & { readonly logs: readonly PolicyLog[] };

type Named = Exclude<Quorum, { readonly kind: "none" }>;

const malformed = (line: number, message: string, cause?: unknown) =>
  new CountersignError("TRUST_MALFORMED", { message: `Line ${line} of the log policy: ${message}.`, cause });

/**
 * Reads a policy file.
 *
 * Stricter than C2SP tlog-policy in two points: the text is UTF-8, and no key is both a log's and a witness's.
 *
 * @throws CountersignError TRUST_MALFORMED
 */
export function parsePolicy(text: string): TlogPolicy {
  const logs: PolicyLog[] = [];
  const witnesses: PolicyWitness[] = [];
  const named = new Map<string, Named>();
  const grouped = new Set<string>();
  const keys = new Set<string>();
  let quorum: Quorum | undefined;
  const lines = text.split("\n");
  if (lines.pop() !== "") throw malformed(lines.length + 1, "the last line does not end");
  for (const [i, line] of lines.entries()) {
    const fail = (message: string, cause?: unknown): never => {
      throw malformed(i + 1, message, cause);
    };
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the specification allows tab and newline alone.
    if (!line.isWellFormed() || /[\u0000-\u0008\u000a-\u001f\u007f]/.test(line)) fail("a character is not allowed");
    const [keyword, ...items] = line.split(/[ \t]+/).filter((item) => item !== "");
    if (keyword === undefined || keyword.startsWith("#")) continue;
    const readKey = (vkey: string | undefined, use: VerifierKey["use"]): VerifierKey => {
      let key: VerifierKey;
      try {
        key = parseVkey(vkey ?? "");
      } catch (cause) {
        return fail("the key cannot be read", cause);
      }
      if (key.use !== use) fail(`a ${use} key belongs here`);
      // One raw key in two roles would let a signature made in one role be read in the other.
      const raw = toHex(key.publicKey);
      if (keys.has(raw)) fail("the key is there already");
      keys.add(raw);
      return key;
    };
    const define = (name: string | undefined, value: Named): void => {
      if (name === undefined || name === "none" || named.has(name)) fail("the name is missing or taken");
      named.set(name as string, value);
    };
    const lookUp = (name: string): Named => named.get(name) ?? fail(`${name} is not defined above`);
    switch (keyword) {
      case "log": {
        if (items.length < 1 || items.length > 2) fail("a log has a key and perhaps a URL");
        logs.push({ key: readKey(items[0], "note"), ...(items[1] && { url: items[1] }) });
        break;
      }
      case "witness": {
        if (items.length < 2 || items.length > 3) fail("a witness has a name, a key and perhaps a URL");
        const name = items[0] as string;
        const key = readKey(items[1], "cosignature");
        define(name, { kind: "witness", name, key });
        witnesses.push({ name, key, ...(items[2] && { url: items[2] }) });
        break;
      }
      case "group": {
        const [name, rule = "", ...names] = items;
        const members = names.map((member) => {
          if (grouped.has(member)) fail(`${member} is in a group already`);
          grouped.add(member);
          return lookUp(member);
        });
        const threshold =
          rule === "all" ? members.length : rule === "any" ? 1 : /^[1-9]\d{0,3}$/.test(rule) ? +rule : 0;
        if (threshold < 1 || threshold > members.length) fail("the threshold is not between 1 and the members' number");
        define(name, { kind: "group", name: name as string, threshold, members });
        break;
      }
      case "quorum": {
        if (quorum !== undefined) fail("there is a quorum already");
        if (items.length !== 1) fail("a quorum is one name");
        quorum = items[0] === "none" ? { kind: "none" } : lookUp(items[0] as string);
        break;
      }
      default:
        fail(`${keyword} is not a keyword`);
    }
  }
  if (quorum === undefined) throw malformed(lines.length, "there is no quorum line");
  return { logs, witnesses, quorum };
}

/** Whether a quorum stands, and since when. */
export type QuorumState =
  | { readonly status: "reached" /** Seconds since 1970; absent for `quorum none`. */; readonly time?: number }
  | { readonly status: "missing"; readonly reason: string };

/**
 * Whether the cosigners reach the quorum, and the earliest time by which as many of them as it needs had signed.
 *
 * A group's time is its `threshold`-th earliest member's, so fewer liars than the threshold cannot date it back.
 */
export function evaluateQuorum(quorum: Quorum, signedBy: readonly SignedBy[]): QuorumState {
  if (quorum.kind === "none") return { status: "reached" };
  const time = timeOf(quorum, signedBy);
  return time === undefined
    ? { status: "missing", reason: `The cosignatures do not reach the quorum ${quorum.name}.` }
    : { status: "reached", time };
}

function timeOf(quorum: Named, signedBy: readonly SignedBy[]): number | undefined {
  if (quorum.kind === "witness") return signedBy.find(({ key }) => sameKey(key, quorum.key))?.time;
  const times = quorum.members.flatMap((member) => timeOf(member, signedBy) ?? []);
  return times.toSorted((a, b) => a - b)[quorum.threshold - 1];
}
