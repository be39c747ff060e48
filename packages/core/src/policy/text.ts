import { type Claim, claims, type Ground, grounds } from "../claim.ts";
import { CountersignError } from "../errors/error.ts";
import { factNames, isAll, isAny, type Policy, type Requirement } from "./policy.ts";
import { groundAliases, levels, type Preset, presets, soleGround } from "./preset.ts";

const maxText = 2048;
const maxRequirements = 64;
const maxDepth = 16;
// A conjunction of several sources may hold each source's requirements, presets expanded.
const maxPrinted = 512;
const word = /[a-z][a-zA-Z0-9-]*/y;
const factValue = /[A-Za-z0-9][A-Za-z0-9._-]{0,127}/y;
const space = /[ \t]*/y;

const malformed = (message: string, at: number): never => {
  throw new CountersignError("POLICY_MALFORMED", {
    message: `The policy cannot be read: ${message} at character ${at + 1}.`,
    remedy: 'Write claims on grounds joined by & and |, for example "signature & logged" or "execution:proof | tee".',
    param: "verification",
  });
};

class Reader {
  at = 0;
  count = 0;
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }

  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  accept(char: string): boolean {
    this.match(space);
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  any(depth: number): Policy {
    if (depth > maxDepth) malformed(`nesting deeper than ${maxDepth}`, this.at);
    const parts = [this.all(depth)];
    while (this.accept("|")) parts.push(this.all(depth));
    return parts.length === 1 ? (parts[0] as Policy) : { any: parts };
  }

  all(depth: number): Policy {
    const parts = [this.unit(depth)];
    while (this.accept("&")) parts.push(this.unit(depth));
    return parts.length === 1 ? (parts[0] as Policy) : { all: parts };
  }

  unit(depth: number): Policy {
    if (this.accept("(")) {
      const inner = this.any(depth + 1);
      if (!this.accept(")")) malformed("expected )", this.at);
      return inner;
    }
    return this.atom();
  }

  atom(): Policy {
    this.match(space);
    const start = this.at;
    const name = this.match(word) ?? malformed("expected a claim or a level", start);
    if (++this.count > maxRequirements) malformed(`more than ${maxRequirements} requirements`, start);
    if (!this.accept(":")) {
      if (Object.hasOwn(presets, name)) return presets[name as Preset];
      const ground = Object.hasOwn(soleGround, name) ? soleGround[name as Claim] : undefined;
      if (ground) return { claim: name as Claim, ground, facts: this.facts() };
      if ((claims as readonly string[]).includes(name))
        malformed(`${name} needs a ground, as in ${name}:signature`, start);
      throw new CountersignError("LEVEL_UNKNOWN", {
        message: `"${name}" is neither a level nor a claim.`,
        remedy: `The levels are ${levels.join(", ")}; the other presets ${Object.keys(presets)
          .filter((p) => !(levels as readonly string[]).includes(p))
          .join(", ")}; the claims ${claims.join(", ")}.`,
        param: "verification",
      });
    }
    this.match(space);
    const at = this.at;
    const ground = this.match(word) ?? malformed("expected a ground", at);
    if (!(claims as readonly string[]).includes(name)) malformed(`"${name}" is not a claim`, start);
    const known =
      (Object.hasOwn(groundAliases, ground) ? groundAliases[ground] : undefined) ??
      (grounds as readonly string[]).find((g) => g === ground);
    if (!known) malformed(`"${ground}" is not a ground; the grounds are ${grounds.join(", ")}`, at);
    return { claim: name as Claim, ground: known as Ground, facts: this.facts() };
  }

  facts(): Readonly<Record<string, string>> {
    if (!this.accept("(")) return {};
    const out: Record<string, string> = {};
    do {
      this.match(space);
      const at = this.at;
      const name = this.match(word) ?? malformed("expected a fact", at);
      if (!factNames.includes(name)) {
        throw new CountersignError("POLICY_FIELD_UNKNOWN", {
          message: `"${name}" is not a fact that a policy can require.`,
          remedy: `The facts are ${factNames.join(", ")}.`,
          param: "verification",
        });
      }
      if (Object.hasOwn(out, name)) malformed(`${name} stands twice`, at);
      if (!this.accept("=")) malformed("expected =", this.at);
      this.match(space);
      out[name] = this.match(factValue) ?? malformed("expected a value", this.at);
    } while (this.accept(","));
    if (!this.accept(")")) malformed("expected )", this.at);
    return out;
  }
}

// The same few policies stand in every receipt: what a text says is read once, and printed once.
const parsed = new Map<string, Policy>();
const normals = new WeakMap<Policy, Normal>();

function remember(text: string, normal: Normal): Policy {
  if (parsed.size >= 512) parsed.clear();
  const policy = freeze(normal.policy);
  parsed.set(text, policy);
  normals.set(policy, { policy, text: normal.text });
  return policy;
}

// A policy that many hold must not change under one of them.
function freeze(policy: Policy): Policy {
  if (isAll(policy)) policy.all.forEach(freeze);
  else if (isAny(policy)) policy.any.forEach(freeze);
  else Object.freeze(policy.facts);
  Object.freeze(isAll(policy) ? policy.all : isAny(policy) ? policy.any : policy);
  return Object.freeze(policy);
}

/**
 * Reads a policy's text form (spec/policy.md §2), in normal form.
 *
 * @throws POLICY_MALFORMED, POLICY_FIELD_UNKNOWN, LEVEL_UNKNOWN
 * @example parsePolicy("tee & signature | execution:proof(scope=inference)")
 */
export function parsePolicy(text: string): Policy {
  const known = parsed.get(text);
  if (known) return known;
  if (text.length > maxText) malformed(`longer than ${maxText} characters`, maxText);
  const reader = new Reader(text);
  const policy = reader.any(0);
  reader.match(space);
  if (reader.at < text.length) malformed(`unexpected ${JSON.stringify(text[reader.at])}`, reader.at);
  return remember(text, normalForm(policy));
}

function printRequirement({ claim, ground, facts }: Requirement): string {
  const list = Object.keys(facts)
    .sort()
    .map((name) => `${name}=${facts[name]}`);
  return `${claim}:${ground}${list.length > 0 ? `(${list.join(",")})` : ""}`;
}

type Normal = { readonly policy: Policy; readonly text: string };

const tooLarge = (message: string): never => {
  throw new CountersignError("POLICY_MALFORMED", { message, param: "verification" });
};

/** Policy and text in one pass from the leaves up: twice the depth must not be four times the work. */
function reduce(policy: Policy, depth: number, budget: { left: number }): Normal {
  if (depth > maxDepth) return tooLarge(`The policy nests deeper than ${maxDepth}.`);
  if (!isAll(policy) && !isAny(policy)) {
    if (--budget.left < 0) return tooLarge(`The policy has more than ${maxPrinted} requirements.`);
    return { policy, text: printRequirement(policy) };
  }
  const all = isAll(policy);
  const parts = new Map<string, Policy>();
  for (const part of all ? policy.all : policy.any) {
    const inner = reduce(part, depth + 1, budget);
    const same = all ? isAll(inner.policy) : isAny(inner.policy);
    if (!same) parts.set(inner.text, inner.policy);
    else {
      const list = isAll(inner.policy) ? inner.policy.all : isAny(inner.policy) ? inner.policy.any : [];
      for (const p of list) parts.set(textOf(p), p);
    }
  }
  // An empty list would be met by everything (all) or nothing (any): neither can be written by accident.
  if (parts.size === 0) return tooLarge("A policy demands at least one claim.");
  const sorted = [...parts].sort(([a], [b]) => (a < b ? -1 : 1));
  const [only] = sorted;
  if (sorted.length === 1 && only) return { policy: only[1], text: only[0] };
  const policies = sorted.map(([, p]) => p);
  const normal: Policy = all ? { all: policies } : { any: policies };
  return { policy: normal, text: textOf(normal) };
}

/** Text of a policy that is in normal form already. */
function textOf(policy: Policy): string {
  if (isAll(policy)) return policy.all.map((p) => (isAny(p) ? `(${textOf(p)})` : textOf(p))).join(" & ");
  if (isAny(policy)) return policy.any.map((p) => (isAll(p) ? `(${textOf(p)})` : textOf(p))).join(" | ");
  return printRequirement(policy);
}

const normalForm = (policy: Policy): Normal => normals.get(policy) ?? reduce(policy, 0, { left: maxPrinted });

/** The one text of a policy in normal form: flat, sorted, without repetition. */
export const printPolicy = (policy: Policy): string => normalForm(policy).text;

/** Flattens, sorts and dedupes; two policies that say the same with the same words print the same. @throws POLICY_MALFORMED */
export const normalise = (policy: Policy): Policy => normalForm(policy).policy;

let nameOf: ReadonlyMap<string, string> | undefined;

/** Text → name, the first that fits; printed once, because every verdict asks. */
function presetNames(): ReadonlyMap<string, string> {
  const names = (Object.keys(presets) as Preset[]).filter((n) => n !== "logged" && n !== "audit");
  const known = [["audit"], ...names.map((n) => [n]), ...names.map((n) => [n, "logged"]), ["logged"]];
  const made = new Map<string, string>();
  for (const list of known) {
    const text = printPolicy({ all: list.map((n) => presets[n as Preset]) });
    if (!made.has(text)) made.set(text, list.join(" & "));
  }
  return made;
}

/** The shortest name people know a policy by: a preset's, presets joined, or its text. */
export function describePolicy(policy: Policy): string {
  const text = printPolicy(policy);
  nameOf ??= presetNames();
  return nameOf.get(text) ?? text;
}
