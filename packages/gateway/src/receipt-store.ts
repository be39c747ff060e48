import {
  CountersignError,
  fromBase64Url,
  fromUtf8,
  type Hex,
  parseReceipt,
  type Receipt,
  readRun,
  toBase64Url,
  utf8,
} from "@countersign/core";
import type { StoredReceipt } from "@countersign/store";
import { keepAttestations, withAttestations } from "./attestations.ts";
import type { Deps } from "./deps.ts";
import { publicForm } from "./receipt.ts";

/** A receipt as it is kept: the public form and its place in the log. */
type Kept = { readonly receipt: Receipt; readonly index: number; readonly entry: string };

const encode = (kept: Kept) => utf8(JSON.stringify(kept));

function decode(body: Uint8Array): Kept {
  const { receipt, index, entry } = JSON.parse(fromUtf8(body)) as Kept;
  return { receipt: parseReceipt(receipt), index, entry };
}

/** Keeps the public form of a receipt on disk, without its secret (protocol-review A7). */
export async function keepReceipt(
  deps: Pick<Deps, "store" | "now" | "attestations">,
  receipt: Receipt,
  receiptId: Hex,
  receiptRoot: Hex,
  logged: { readonly index: number; readonly entry: Uint8Array },
): Promise<void> {
  const evidence = await keepAttestations(deps.attestations, receipt.evidence);
  const kept: Kept = {
    receipt: { ...publicForm(receipt), evidence },
    index: logged.index,
    entry: toBase64Url(logged.entry),
  };
  await deps.store.receipts.put({ receiptId, receiptRoot, body: encode(kept), madeAt: deps.now() });
}

/** A receipt with its proof of inclusion: the first one that covers it stays. */
export function addInclusion(receipt: Receipt, entry: Uint8Array, proof: string): Receipt {
  const item = { entry: toBase64Url(entry), proof };
  return { ...receipt, inclusion: [...receipt.inclusion.filter((i) => i.entry !== item.entry), item] };
}

const missing = () =>
  new CountersignError("RECEIPT_NOT_FOUND", {
    message: "There is no receipt with this id.",
    why: "Receipts are read by their id, which only their holder has; the public root opens only the log's entry.",
    remedy: "Check that the whole id was copied, and that this is the gateway that gave it out.",
  });

/** How far a receipt has come. */
export type Progress = { readonly logged: boolean; readonly witnessed: boolean; readonly searched: boolean };

/**
 * The receipt as it stands now: with late evidence, the proof of inclusion and the monitors' snapshots.
 *
 * @throws RECEIPT_NOT_FOUND
 */
export async function readReceiptNow(
  deps: Pick<Deps, "store" | "log" | "monitors" | "identity" | "attestations">,
  receiptId: Hex,
): Promise<{ readonly receipt: Receipt; readonly receiptRoot: Hex; readonly index: number }> {
  const stored = await deps.store.receipts.get(receiptId);
  if (!stored) throw missing();
  const { receipt, index } = await withInclusion(deps, stored);
  const late = (await deps.store.receipts.evidence(stored.receiptRoot)).map(
    (item) => JSON.parse(fromUtf8(item)) as Receipt["evidence"][number],
  );
  const evidence = [...(await withAttestations(deps.attestations, receipt.evidence)), ...late];
  const { issuer } = readRun(receipt.statement).predicate;
  const snapshots =
    receipt.inclusion.length > 0 ? await deps.monitors.search(stored.receiptRoot, [issuer, deps.identity.key]) : [];
  return { receipt: { ...receipt, evidence, snapshots }, receiptRoot: stored.receiptRoot, index };
}

/** Adds the proof as soon as there is one, and keeps it: a receipt reads the same before and after a restart. */
async function withInclusion(deps: Pick<Deps, "store" | "log">, stored: StoredReceipt): Promise<Kept> {
  const kept = decode(stored.body);
  if (kept.receipt.inclusion.length > 0) return kept;
  const proof = await deps.log.prove(kept.index);
  if (proof === undefined) return kept;
  const next: Kept = { ...kept, receipt: addInclusion(kept.receipt, fromBase64Url(kept.entry), proof) };
  await deps.store.receipts.update(stored.receiptId, () => encode(next));
  return next;
}

/** What anybody may see of a receipt by its root: the log's entry and public evidence. @throws RECEIPT_NOT_FOUND */
export async function readByRoot(
  deps: Pick<Deps, "store">,
  receiptRoot: Hex,
): Promise<{ readonly entry: string; readonly index: number; readonly evidence: readonly unknown[] }> {
  const stored = await deps.store.receipts.getByRoot(receiptRoot);
  if (!stored) throw missing();
  const { entry, index } = decode(stored.body);
  const evidence = (await deps.store.receipts.evidence(receiptRoot)).map((item) => JSON.parse(fromUtf8(item)));
  return { entry, index, evidence };
}
