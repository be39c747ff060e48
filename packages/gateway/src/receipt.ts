import {
  type Delivery,
  type Envelope,
  type Hex,
  type Opening,
  type Output,
  type Receipt,
  type RunEvent,
  receiptFormat,
  type Signer,
  type Statement,
  signDelivery,
} from "@countersign/core";
import { openByDefault } from "@countersign/verify";

/** The end of a run, as the node signed it. */
export type Done = Extract<RunEvent, { type: "done" }>;

/** Countersigns the root as delivered, with offer, payment and time (protocol-review B8). */
export function countersign(
  receiptRoot: Hex,
  facts: Omit<Delivery, "suite" | "gateway">,
  gateway: { readonly key: Hex; readonly signer: Signer },
): Envelope {
  return signDelivery(
    receiptRoot,
    { suite: "countersign/delivery/v1", gateway: gateway.key, ...facts },
    gateway.signer,
  );
}

/** What of the openings goes to the client: he derives the rest from what he has, with the secret (WIRE, answers). */
function isDue(path: string, statement: Statement, outputs: readonly Output[]): boolean {
  const [field = "", index] = path.split("/");
  // What a deployment's owner salted holds content of his: not the payer's to read (protocol-review A8).
  if ((statement.ownerSalted as readonly string[]).includes(field)) return false;
  if (field === "rawRequest" || field === "system") return false;
  if (index === undefined) return true;
  if (field === "messages" || field === "tools") return false;
  if (field !== "output") return true;
  const kind = outputs[0]?.kind;
  return (kind === "message" || kind === "text") && Number(index) % 2 === 1;
}

/** Puts the receipt together as its holder gets it, without what is still to come. */
export function makeReceipt(args: {
  readonly done: Done;
  readonly statement: Statement;
  readonly outputs: readonly Output[];
  readonly offer: Envelope;
  readonly delivery: Envelope;
  readonly registration: Envelope | null;
  readonly receiptId: Hex;
  readonly clientNonce: Hex;
}): Receipt {
  const { done } = args;
  return {
    format: receiptFormat,
    statement: done.statement,
    leaves: done.leaves,
    openings: done.openings.filter(({ path }: Opening) => isDue(path, args.statement, args.outputs)),
    offer: args.offer,
    delivery: args.delivery,
    keys: args.registration === null ? done.keys : [...done.keys, args.registration],
    evidence: done.evidence ?? [],
    inclusion: [],
    snapshots: [],
    head: null,
    anchors: [],
    // A sealed run's secret is sealed too: its holder adds it to his own copy.
    holder:
      done.receiptSecret === null
        ? null
        : { receiptId: args.receiptId, receiptSecret: done.receiptSecret, clientNonce: args.clientNonce },
  };
}

/** The form that is stored and read by `receiptId`: no secret, the default openings alone. */
export function publicForm(receipt: Receipt): Receipt {
  const open = new Set<string>(openByDefault);
  return { ...receipt, openings: receipt.openings.filter(({ path }) => open.has(path)), holder: null };
}
