import {
  type Check,
  CountersignError,
  type Envelope,
  type ErrorCode,
  envelopeDigest,
  equalBytes,
  fromBase64Url,
  fromHex,
  type Hex,
  isSignedBy,
  type Receipt,
  readSnapshot,
  type Snapshot,
  type Suite,
  type Trust,
  taggedHash,
} from "@countersign/core";
import { checkSetProof, decodeSetProof, type SetCheck } from "@countersign/log";
import type { Place } from "./check-log.ts";
import { notRun, ran } from "./findings.ts";

/** What monitors searched: refutations of this receipt and revocations of its keys, up to a time (A2). */
export type Searched = {
  readonly checks: readonly Check[];
  /** Milliseconds up to which a quorum of monitors searched and found nothing against it, or null. */
  readonly searchedThrough: number | null;
  /** Why the receipt is withdrawn: a quorum of monitors lists a refutation of it or a revocation of its keys. */
  readonly withdrawn: string | undefined;
  /** Whether fewer monitors than the quorum list something against it. */
  readonly disputed: boolean;
  /** Whether the evidence that the monitors found in the log is all attached: a holder could leave out a dispute. */
  readonly complete: boolean;
};

const title = "Monitors searched the log for refutations and revocations and found none";

/**
 * Checks the attached snapshots. Absence needs a witness: without one nothing is said about refutations.
 *
 * What a quorum lists against the receipt counts whatever its place in the log; what one monitor alone lists is shown as
 * a dispute, so that no single one of several can withdraw a receipt.
 */
export function checkSnapshots(args: {
  readonly receipt: Receipt;
  readonly subject: Hex;
  /** Keys whose revocation matters: the node's, the gateway's. */
  readonly signers: readonly Hex[];
  /** The receipt's place in the log: a snapshot of a smaller tree cannot have seen it. */
  readonly place: Place | null;
  readonly trust: Trust;
  readonly at: number;
  readonly suite: Suite;
}): Searched {
  const { receipt, trust, place } = args;
  const id = "snapshot.searched";
  const times = new Map<Hex, number>();
  const against = new Map<Hex, { readonly why: string; readonly code: ErrorCode }>();
  const reasons: string[] = [];
  let complete = true;
  for (const item of receipt.snapshots) {
    const read = readOne(item.envelope, args);
    if (typeof read === "string") {
      reasons.push(read);
      continue;
    }
    const { snapshot, root } = read;
    const refutation = prove(snapshot.refuted.root, "set", args.subject, item.proofs.refuted);
    // The proofs may stand in any order, and some be missing: each key takes the one that speaks of it.
    const revocations = args.signers.map((key) => proveAny(snapshot.revoked.root, key, item.proofs.revoked));
    if (refutation.status === "member")
      against.set(snapshot.monitor, { why: "lists a refutation of this receipt", code: "CLAIM_REFUTED" });
    else if (revocations.some((r) => r.status === "member"))
      against.set(snapshot.monitor, { why: "lists a key of this receipt as revoked", code: "NODE_NOT_ACTIVE" });
    const unclear = [refutation, ...revocations].some((r) => r.status === "failed");
    const early = placeFault(snapshot, root, place);
    if (unclear) reasons.push("A proof in a snapshot does not check.");
    else if (early) reasons.push(early);
    else {
      complete &&= hasEvidence(snapshot, args, item.proofs.evidence);
      times.set(snapshot.monitor, Math.max(snapshot.time, times.get(snapshot.monitor) ?? 0));
    }
  }
  // Whoever lists something against it has not searched and found nothing, whichever of its snapshots came first.
  for (const monitor of against.keys()) times.delete(monitor);
  const nameOf = (key: Hex) => trust.monitors.keys.find((m) => m.key === key)?.name ?? key;
  const [first] = against;
  if (first && against.size >= trust.monitors.quorum) {
    const why = `${nameOf(first[0])} ${first[1].why}.`;
    return {
      checks: [ran(id, title, false, why, first[1].code)],
      searchedThrough: null,
      withdrawn: why,
      disputed: true,
      complete,
    };
  }
  const disputed = against.size > 0;
  // The quorum's weakest member: the time that at least `quorum` monitors have searched through.
  const through = [...times.values()].sort((a, b) => b - a)[trust.monitors.quorum - 1];
  if (through !== undefined) {
    const detail = `${times.size} searched through ${new Date(through).toISOString()}.`;
    return {
      checks: [ran(id, title, true, detail, "SNAPSHOT_INVALID")],
      searchedThrough: through,
      withdrawn: undefined,
      disputed,
      complete,
    };
  }
  const none =
    receipt.snapshots.length === 0
      ? notRun(id, title, "Refutations not searched: no monitor's snapshot is attached.")
      : ran(
          id,
          title,
          false,
          reasons.join(" ") || "Fewer monitors searched than the trust asks for.",
          "SNAPSHOT_INVALID",
        );
  return { checks: [none], searchedThrough: null, withdrawn: undefined, disputed, complete };
}

/** Whether the attached items are the evidence that the log held at a snapshot: `H(before ‖ envelope)` from zeros. */
function hasEvidence(
  { evidence }: Snapshot,
  { receipt, subject }: { readonly receipt: Receipt; readonly subject: Hex },
  text: string,
): boolean {
  const found = prove(evidence.root, "map", subject, text);
  if (found.status === "absent") return true;
  if (found.status === "failed" || !found.value) return false;
  // Late evidence makes an older snapshot's digest one of a shorter list: some beginning of what is attached must fit.
  let chain = new Uint8Array(32);
  return receipt.evidence.some(({ envelope }) => {
    chain = extend(chain, envelope);
    return equalBytes(chain, found.value as Uint8Array);
  });
}

/** An envelope whose payload is no base64 has no digest, and no log holds it. */
function extend(before: Uint8Array, envelope: Envelope): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(taggedHash("countersign/evidence-chain/v1", before, fromHex(envelopeDigest(envelope))));
  } catch {
    return new Uint8Array(32);
  }
}

/** Why a snapshot says nothing about a receipt at this place, or undefined when it does. */
function placeFault(snapshot: Snapshot, root: Hex, place: Place | null): string | undefined {
  if (!place) return "The receipt's place in the log is not shown.";
  if (snapshot.origin !== place.origin) return "A snapshot is of another log.";
  if (snapshot.size <= place.index) return "A snapshot is older than the receipt's entry.";
  // Two roots of one size are two histories.
  if (snapshot.size === place.size && root !== place.root)
    return "A snapshot shows another history than the checkpoint (LOG_SPLIT_VIEW).";
  return undefined;
}

function readOne(
  envelope: Receipt["snapshots"][number]["envelope"],
  args: { readonly trust: Trust; readonly suite: Suite; readonly at: number },
): { readonly snapshot: Snapshot; readonly root: Hex } | string {
  try {
    const { predicate, subject } = readSnapshot(envelope);
    const monitor = args.trust.monitors.keys.find((m) => m.key === predicate.monitor);
    if (!monitor) return "A snapshot is of a monitor that the trust does not name.";
    if (!isSignedBy(envelope, monitor.key, args.suite)) return `A snapshot is not signed by ${monitor.name}.`;
    if (predicate.time > args.at) return `A snapshot of ${monitor.name} is of a later time than the verdict.`;
    return { snapshot: predicate, root: subject };
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return error.detail.message;
  }
}

function proveAny(root: Hex, key: Hex, texts: readonly string[]): SetCheck {
  const results = texts.map((text) => prove(root, "set", key, text));
  return (
    results.find((r) => r.status === "member") ??
    results.find((r) => r.status === "absent") ??
    results[0] ?? { status: "failed", code: "PROOF_INVALID", reason: "There is no proof about the key." }
  );
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
