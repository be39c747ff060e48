import {
  CountersignError,
  decodeEntry,
  type Entry,
  encodeEntry,
  equalBytes,
  fromHex,
  type Hex,
  levelBits,
  noDigest,
  originBit,
  taggedHash,
  toHex,
} from "@countersign/core";

/** Something in the log that cannot all be honest, or cannot be read; places are entry indexes. */
export type Contradiction =
  /** Two receipts for one request: the issuer ran it twice, or signed two answers (A4). */
  | { readonly kind: "request-tag-twice"; readonly tag: Hex; readonly entries: readonly [number, number] }
  | { readonly kind: "unreadable-entry"; readonly entries: readonly [number]; readonly reason: string }
  | { readonly kind: "receipt-without-tag"; readonly entries: readonly [number] }
  /** A refutation or revocation by a key that has no say here: it is shown and counts for nothing. */
  | { readonly kind: "no-standing"; readonly issuer: Hex; readonly entries: readonly [number] };

/** Whose entries may speak against receipts and keys: without it, whoever gets an entry into the log could withdraw any receipt. */
export type Standing = {
  /** Auditors whose refutations count. */
  readonly refute: readonly Hex[];
  /** Registrars whose revocations count. */
  readonly revoke: readonly Hex[];
};

/** How many receipts had a level, as their issuers say it. */
type Level = { demanded: number; bought: number; delivered: number };
const levelNames = ["signature", "reexecution", "hardware", "simulated", "proof", "origin", "sampled", "log"] as const;
type LevelName = (typeof levelNames)[number];

/** The recounted distribution of levels; synthetic entries are in no count but their own. */
export type Stats = {
  /** `claimed`: masks are the issuers' words; nothing here was checked against evidence (B4). */
  readonly series: "claimed";
  readonly entries: number;
  readonly receipts: number;
  readonly synthetic: number;
  readonly development: number;
  readonly unmet: number;
  readonly aborted: number;
  /** Receipts by level. `demanded`: every way that would have met the demand has it. */
  readonly levels: Readonly<Record<LevelName, Readonly<Level>>>;
};

/** What a monitor keeps of a log. */
export type Tally = {
  readonly refuted: ReadonlySet<Hex>;
  readonly revoked: ReadonlySet<Hex>;
  /** Receipt root → digest over its evidence entries. */
  readonly evidence: ReadonlyMap<Hex, Hex>;
  /** Deployment → digest of its newest version. */
  readonly deploymentHeads: ReadonlyMap<Hex, Hex>;
  readonly contradictions: () => readonly Contradiction[];
  readonly stats: () => Stats;
  /** Takes the next entry of the log. Never throws: an entry that can't be read is a finding. */
  readonly add: (bytes: Uint8Array) => void;
};

// A log's writer must not fill the auditor's memory with findings; the first ones say enough.
const mostContradictions = 1024;

/** Digest over a receipt's evidence: `H(before ‖ envelope)` along the log, from zeros (packages/auditor/README.md). */
export function extendEvidence(before: Hex, envelope: Hex): Hex {
  return toHex(taggedHash("countersign/evidence-chain/v1", fromHex(before), fromHex(envelope)));
}

function levelsOf(mask: number, simulated: boolean): LevelName[] {
  const has = (bit: number) => (mask & bit) !== 0;
  return levelNames.filter((name) => {
    if (name === "origin") return has(originBit);
    // A simulated enclave must never count as hardware.
    if (name === "hardware") return has(levelBits.hardware) && !simulated;
    if (name === "simulated") return has(levelBits.hardware) && simulated;
    return has(levelBits[name]);
  });
}

/** An empty tally. */
export function openTally(standing: Standing): Tally {
  const refuted = new Set<Hex>();
  const revoked = new Set<Hex>();
  const evidence = new Map<Hex, Hex>();
  const deploymentHeads = new Map<Hex, Hex>();
  const tags = new Map<Hex, { readonly index: number; readonly envelope: Hex }>();
  const contradictions: Contradiction[] = [];
  const levels = Object.fromEntries(
    levelNames.map((name) => [name, { demanded: 0, bought: 0, delivered: 0 }]),
  ) as Record<LevelName, Level>;
  const counts = { entries: 0, receipts: 0, synthetic: 0, development: 0, unmet: 0, aborted: 0 };

  const report = (found: Contradiction) => {
    if (contradictions.length < mostContradictions) contradictions.push(found);
  };

  function checkTag(entry: Entry, index: number): void {
    const first = tags.get(entry.tag);
    if (entry.tag === noDigest) report({ kind: "receipt-without-tag", entries: [index] });
    else if (first === undefined) tags.set(entry.tag, { index, envelope: entry.envelope });
    // The same statement twice is a repetition, another statement is a second answer to one request.
    else if (first.envelope !== entry.envelope)
      report({ kind: "request-tag-twice", tag: entry.tag, entries: [first.index, index] });
  }

  function count(entry: Entry): void {
    const has = (flag: Entry["flags"][number]) => entry.flags.includes(flag);
    if (has("synthetic")) {
      counts.synthetic++;
      return;
    }
    counts.receipts++;
    for (const flag of ["development", "unmet", "aborted"] as const) if (has(flag)) counts[flag]++;
    const simulated = has("simulated");
    const ways = entry.demanded.map((mask) => levelsOf(mask, simulated));
    for (const name of levelNames) if (ways.length > 0 && ways.every((w) => w.includes(name))) levels[name].demanded++;
    for (const name of levelsOf(entry.bought, simulated)) levels[name].bought++;
    for (const name of levelsOf(entry.delivered, simulated)) levels[name].delivered++;
  }

  return {
    refuted,
    revoked,
    evidence,
    deploymentHeads,
    contradictions: () => [...contradictions],
    stats: () => ({ series: "claimed", ...counts, levels: structuredClone(levels) }),
    add(bytes) {
      const index = counts.entries++;
      let entry: Entry;
      try {
        entry = decodeEntry(bytes);
        if (!equalBytes(encodeEntry(entry), bytes)) throw new RangeError("It has a second encoding.");
      } catch (error) {
        const reason = CountersignError.is(error) ? (error.detail.why ?? error.detail.message) : String(error);
        report({ kind: "unreadable-entry", entries: [index], reason });
        return;
      }
      const { kind, subject, envelope, deployment, issuer } = entry;
      if (kind === "refutation" || kind === "revocation") {
        const says = kind === "refutation" ? standing.refute : standing.revoke;
        if (!says.includes(issuer)) report({ kind: "no-standing", issuer, entries: [index] });
        else (kind === "refutation" ? refuted : revoked).add(subject);
      } else if (kind === "evidence")
        evidence.set(subject, extendEvidence(evidence.get(subject) ?? noDigest, envelope));
      else if (kind === "deployment") deploymentHeads.set(deployment === noDigest ? subject : deployment, subject);
      else if (kind === "receipt") {
        checkTag(entry, index);
        count(entry);
      }
    },
  };
}
