import {
  CountersignError,
  type Hex,
  openedBytes,
  openFields,
  parseReceipt,
  type Receipt,
  toHex,
  type Verdict,
} from "@countersign/core";
import { type Delivered, refreshReceipt, verify } from "@countersign/verify";
import { readBytes, readError, readObject, send } from "./http.ts";
import { standingOf } from "./lateness.ts";
import type { ReceiptRecord } from "./receipt-store.ts";
import type { Settings } from "./settings.ts";
import { isCharged } from "./unmet.ts";

/** A receipt as it stands now, and what it is worth. */
export type Refreshed = { readonly receipt: Receipt; readonly verdict: Verdict };

/**
 * The gateway's present copy of a receipt; undefined when the holder's part is missing or the gateway does not have it yet.
 *
 * @throws GATEWAY_UNREACHABLE, RECEIPT_MALFORMED
 */
export async function fetchReceipt(settings: Settings, receipt: Receipt): Promise<Receipt | undefined> {
  const id = receipt.holder?.receiptId;
  if (id === undefined) return undefined;
  const response = await send(settings, `/v1/receipts/${id}`, { method: "GET" });
  if (!response.ok) {
    const error = await readError(response);
    if (error.code === "RECEIPT_NOT_FOUND") return undefined;
    throw error;
  }
  return parseReceipt(readObject(await readBytes(response)).receipt);
}

/** Checks a receipt that somebody has, with the content in hand; says what was found and never throws for a bad one. */
export function verifyReceipt(
  settings: Settings,
  receipt: unknown,
  delivered: Delivered | undefined,
  policy: string | undefined,
): Verdict {
  const { trust, allowDevelopment, suite } = settings;
  return verify({
    receipt,
    trust,
    at: settings.now(),
    allowDevelopment,
    suite,
    ...(delivered && { delivered }),
    ...(policy !== undefined && { policy }),
  });
}

const isLogged = (verdict: Verdict) =>
  verdict.findings.some((f) => f.claim === "logged" && f.ground === "log" && f.status === "proven");

/**
 * Fetches what came late for a receipt, merges it and checks again; remembers the result.
 *
 * @throws INCLUSION_OVERDUE when the log was to hold the entry by now and does not; CHARGED_WHILE_UNMET when the
 * answer is not met and the watcher sees its payment taken; GATEWAY_UNREACHABLE, STATEMENT_ROOT_MISMATCH
 */
export async function refresh(settings: Settings, given: Receipt | Hex): Promise<Refreshed> {
  const id = typeof given === "string" ? given : given.holder?.receiptId;
  const record = id === undefined ? undefined : await settings.receipts.get(id);
  const mine = typeof given === "string" ? record?.receipt : given;
  if (!mine) {
    throw new CountersignError("RECEIPT_NOT_FOUND", {
      message: "This client's store has no receipt with this id.",
      remedy: "Give the receipt itself.",
    });
  }
  const theirs = await fetchReceipt(settings, mine);
  const receipt = theirs ? refreshReceipt(mine, theirs) : mine;
  const verdict = verifyReceipt(settings, receipt, record && ownNonce(record), record?.demanded);
  if (record) await settings.receipts.put({ ...record, receipt, outcome: verdict.outcome });
  await requireFair(settings, record, verdict);
  return { receipt, verdict };
}

/** The nonce that this client drew, as the receipt in its own store opens it: in anybody else's copy it proves nothing. */
function ownNonce({ receipt }: ReceiptRecord): Delivered | undefined {
  const nonce = openedBytes(openFields(receipt), "clientNonce");
  return nonce && { clientNonce: toHex(nonce) };
}

async function requireFair(settings: Settings, record: ReceiptRecord | undefined, verdict: Verdict): Promise<void> {
  if (!record) return;
  const standing = standingOf(settings, verdict);
  if (
    (standing === "unmet" || standing === "refuted") &&
    record.payment &&
    (await isCharged(settings, record.payment))
  ) {
    throw new CountersignError("CHARGED_WHILE_UNMET", {
      message: "The payment was taken although the guarantee was not met.",
      why: verdict.summary,
      remedy:
        "Keep receipt and offer: together they show it. See docs/errors/CHARGED_WHILE_UNMET.md for where to take them.",
      facts: { verdict, payment: record.payment },
    });
  }
  if (settings.trust.logs.length > 0 && settings.now() > record.inclusionBy && !isLogged(verdict)) {
    throw new CountersignError("INCLUSION_OVERDUE", {
      message: "The log was to hold this receipt by now and does not.",
      why: `It was due by ${new Date(record.inclusionBy).toISOString()}.`,
      remedy:
        "Keep the receipt: signed and missing from the log, it shows that the log or the gateway withholds entries.",
      facts: { verdict, inclusionBy: record.inclusionBy },
    });
  }
}

/**
 * Waits until late evidence has decided a receipt.
 *
 * @throws ASSURANCE_NOT_MET when it is decided and not met, or still pending after `milliseconds`
 */
export async function waitFor(settings: Settings, given: Receipt | Hex, milliseconds: number): Promise<Refreshed> {
  let waited = 0;
  for (let delay = 250; ; delay = Math.min(2 * delay, 10_000)) {
    const now = await refresh(settings, given);
    if (now.verdict.outcome === "met") return now;
    if (standingOf(settings, now.verdict) !== "pending" || waited + delay > milliseconds) {
      throw new CountersignError("ASSURANCE_NOT_MET", {
        message: `The answer did not come to meet what was demanded: ${now.verdict.outcome}.`,
        why: now.verdict.summary,
        facts: { verdict: now.verdict },
      });
    }
    waited += delay;
    await settings.sleep(delay);
  }
}
