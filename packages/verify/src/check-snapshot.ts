import {
  type Check,
  CountersignError,
  fromBase64Url,
  fromHex,
  type Hex,
  isSignedBy,
  type Receipt,
  readSnapshot,
  type Snapshot,
  type Suite,
  type Trust,
} from "@countersign/core";
import { checkSetProof, decodeSetProof, type SetCheck } from "@countersign/log";
import { notRun, ran } from "./findings.ts";

/** What monitors searched: refutations of this receipt and revocations of its keys, up to a time (A2). */
export type Searched = {
  readonly checks: readonly Check[];
  /** Milliseconds up to which a quorum of monitors searched and found nothing against it, or null. */
  readonly searchedThrough: number | null;
  /** Whether a trusted monitor has a refutation of this receipt in its set. */
  readonly refuted: boolean;
  /** Keys that a trusted monitor lists as revoked. */
  readonly revoked: readonly Hex[];
};

const title = "Monitors searched the log for refutations and revocations and found none";

/** Checks the attached snapshots. Absence needs a witness: without one nothing is said about refutations. */
export function checkSnapshots(args: {
  readonly receipt: Receipt;
  readonly subject: Hex;
  /** Keys whose revocation matters: the node's, the gateway's. */
  readonly signers: readonly Hex[];
  /** The receipt's place in the log: a snapshot of a smaller tree cannot have seen it. */
  readonly place: { readonly origin: string; readonly index: number } | null;
  readonly trust: Trust;
  readonly at: number;
  readonly suite: Suite;
}): Searched {
  const { receipt, trust } = args;
  const id = "snapshot.searched";
  const no = (check: Check, more: Partial<Searched> = {}): Searched => ({
    checks: [check],
    searchedThrough: null,
    refuted: false,
    revoked: [],
    ...more,
  });
  if (receipt.snapshots.length === 0)
    return no(notRun(id, title, "Refutations not searched: no monitor's snapshot is attached."));
  if (!args.place)
    return no(notRun(id, title, "Refutations not searched: the receipt's place in the log is not shown."));
  const times = new Map<Hex, number>();
  const reasons: string[] = [];
  let refuted = false;
  const revoked = new Set<Hex>();
  for (const item of receipt.snapshots) {
    const read = readOne(item.envelope, args);
    if (typeof read === "string") {
      reasons.push(read);
      continue;
    }
    const refutation = prove(read.refuted.root, "set", args.subject, item.proofs.refuted);
    const revocations = args.signers.map((key, i) =>
      prove(read.revoked.root, "set", key, item.proofs.revoked[i] ?? ""),
    );
    if (refutation.status === "member") refuted = true;
    revocations.forEach((r, i) => {
      if (r.status === "member") revoked.add(args.signers[i] as Hex);
    });
    const failed = [refutation, ...revocations].find((r) => r.status === "failed");
    if (failed?.status === "failed")
      reasons.push(`A proof in ${read.monitor.slice(0, 12)}…'s snapshot does not check: ${failed.reason}`);
    else if (refutation.status === "absent" && revocations.every((r) => r.status === "absent")) {
      times.set(read.monitor, Math.max(read.time, times.get(read.monitor) ?? 0));
    }
  }
  if (refuted)
    return no(ran(id, title, false, "A monitor lists a refutation of this receipt.", "CLAIM_REFUTED"), {
      refuted,
      revoked: [...revoked],
    });
  if (revoked.size > 0) {
    return no(ran(id, title, false, "A monitor lists a key of this receipt as revoked.", "NODE_NOT_ACTIVE"), {
      revoked: [...revoked],
    });
  }
  // The quorum's weakest member: the time that at least `quorum` monitors have searched through.
  const through = [...times.values()].sort((a, b) => b - a)[trust.monitors.quorum - 1];
  if (through === undefined) {
    return no(
      ran(
        id,
        title,
        false,
        reasons.join(" ") || "Fewer monitors searched than the trust asks for.",
        "SNAPSHOT_INVALID",
      ),
    );
  }
  return {
    checks: [
      ran(id, title, true, `${times.size} searched through ${new Date(through).toISOString()}.`, "SNAPSHOT_INVALID"),
    ],
    searchedThrough: through,
    refuted: false,
    revoked: [],
  };
}

function readOne(
  envelope: Receipt["snapshots"][number]["envelope"],
  args: {
    readonly trust: Trust;
    readonly suite: Suite;
    readonly at: number;
    readonly place: { readonly origin: string; readonly index: number } | null;
  },
): Snapshot | string {
  try {
    const { predicate } = readSnapshot(envelope);
    const monitor = args.trust.monitors.keys.find((m) => m.key === predicate.monitor);
    if (!monitor) return `The trust does not name the monitor ${predicate.monitor.slice(0, 12)}….`;
    if (!isSignedBy(envelope, monitor.key, args.suite)) return `The snapshot is not signed by ${monitor.name}.`;
    if (predicate.origin !== args.place?.origin) return `${monitor.name} searched another log.`;
    if (predicate.size <= args.place.index) return `${monitor.name}'s snapshot is older than the receipt's entry.`;
    if (predicate.time > args.at) return `${monitor.name}'s snapshot is of a later time than the verdict.`;
    return predicate;
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return error.detail.message;
  }
}

function prove(root: Hex, kind: "set" | "map", key: Hex, text: string): SetCheck {
  try {
    return checkSetProof({ root: fromHex(root), kind, key: fromHex(key), proof: decodeSetProof(fromBase64Url(text)) });
  } catch (error) {
    return {
      status: "failed",
      code: "PROOF_INVALID",
      reason: error instanceof Error ? (error.message.split("\n")[0] as string) : "unreadable",
    };
  }
}
