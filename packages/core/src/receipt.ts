import { z } from "zod";
import { equalBytes, fromBase64Url, fromHex, type Hex } from "./bytes.ts";
import { type Envelope, envelopeShape } from "./envelope.ts";
import { CountersignError } from "./errors/error.ts";
import { type Field, type FieldValue, fieldLeaf, fields } from "./field.ts";
import { parseJson } from "./json.ts";
import { address, hex32 } from "./shapes.ts";

export const receiptFormat = "countersign/receipt/v1";

const path = z.string().regex(/^[a-zA-Z]{1,32}(?:\/(?:0|[1-9][0-9]{0,8}))?$/);
const openingShape = z.strictObject({
  /** A field's name, or an element of a list field: `messages/0`. */
  path,
  salt: hex32,
  value: z.union([
    z.literal("absent"),
    z.strictObject({ bytes: z.string() }),
    z.strictObject({ list: z.array(hex32).max(65_536) }),
  ]),
});

/** One opened field or element: whoever has it can check the value against the commitment. */
export type Opening = {
  readonly path: string;
  readonly salt: Hex;
  readonly value: "absent" | { readonly bytes: string } | { readonly list: readonly Hex[] };
};

const inclusionShape = z.strictObject({
  /** The log entry, base64url of its bytes. */
  entry: z.string().max(1024),
  /** tlog-proof@v1 text: index, hashes, checkpoint with cosignatures. */
  proof: z.string().max(65_536),
});

const snapshotShape = z.strictObject({
  envelope: envelopeShape,
  /** Proofs of absence or presence in the snapshot's sorted sets; their form is the log's (spec/log.md). */
  proofs: z.strictObject({
    refuted: z.string().max(16_384),
    revoked: z.array(z.string().max(16_384)).max(16),
    evidence: z.string().max(16_384),
  }),
});

const evidenceShape = z.strictObject({
  envelope: envelopeShape,
  blob: z
    .string()
    .max(8 << 20)
    .nullable(),
});

/** A receipt: an unsigned container around a signed statement and what is known about it so far (spec/receipt.md §5). */
export const receiptShape = z.strictObject({
  format: z.literal(receiptFormat),
  statement: envelopeShape,
  leaves: z.array(hex32).length(fields.length),
  openings: z.array(openingShape).max(65_536 * 3),
  /** The accepted offer, signed by the gateway: what was bought. Null where its holder keeps the price to himself. */
  offer: envelopeShape.nullable(),
  /** The gateway's countersignature over the same root, with offer, payment and time of delivery (B8). */
  delivery: envelopeShape.nullable(),
  /** Registrations of the keys that signed, by a registrar in `Trust`. */
  keys: z.array(envelopeShape).max(16),
  evidence: z.array(evidenceShape).max(64),
  inclusion: z.array(inclusionShape).max(65),
  /** Snapshots of one or more monitors: what was searched for refutations, and up to when (A2). */
  snapshots: z.array(snapshotShape).max(16),
  /** The EIP-712 form for contracts, when somebody asked for it (spec/receipt.md §8). */
  head: z
    .strictObject({ signature: z.string().regex(/^[0-9a-f]{130}$/), signer: address, contract: address })
    .nullable(),
  anchors: z.array(z.strictObject({ network: z.string(), transaction: hex32 })).max(16),
  /** Only in the holder's own copy: whoever has it can open every field the receipt secret salts. */
  holder: z.strictObject({ receiptId: hex32, receiptSecret: hex32, clientNonce: hex32 }).nullable(),
});

/** A monitor's snapshot with the proofs about this receipt in it. */
export type ReceiptSnapshot = {
  readonly envelope: Envelope;
  readonly proofs: { readonly refuted: string; readonly revoked: readonly string[]; readonly evidence: string };
};

/** A receipt. */
export type Receipt = {
  readonly format: typeof receiptFormat;
  readonly statement: Envelope;
  readonly leaves: readonly Hex[];
  readonly openings: readonly Opening[];
  readonly offer: Envelope | null;
  readonly delivery: Envelope | null;
  readonly keys: readonly Envelope[];
  readonly evidence: readonly { readonly envelope: Envelope; readonly blob: string | null }[];
  readonly inclusion: readonly { readonly entry: string; readonly proof: string }[];
  readonly snapshots: readonly ReceiptSnapshot[];
  readonly head: { readonly signature: string; readonly signer: string; readonly contract: string } | null;
  readonly anchors: readonly { readonly network: string; readonly transaction: Hex }[];
  readonly holder: { readonly receiptId: Hex; readonly receiptSecret: Hex; readonly clientNonce: Hex } | null;
};

/** Reads a receipt from JSON text or an already parsed value. @throws RECEIPT_MALFORMED with the place at fault */
export function parseReceipt(input: unknown): Receipt {
  let value = input;
  if (typeof input === "string") {
    try {
      value = parseJson(input);
    } catch (cause) {
      throw new CountersignError("RECEIPT_MALFORMED", {
        message: "The receipt is not JSON text: it may be cut short.",
        remedy: "Fetch it again, or check that the whole file was copied.",
        cause,
      });
    }
  }
  const parsed = receiptShape.safeParse(value);
  if (parsed.success) return parsed.data as Receipt;
  throw new CountersignError("RECEIPT_MALFORMED", {
    message: "This is not a countersign/receipt/v1 document.",
    why: z.prettifyError(parsed.error).split("\n").slice(0, 4).join(" "),
    cause: parsed.error,
  });
}

/** A field's value as opened, or undefined when closed. @throws STATEMENT_ROOT_MISMATCH when an opening doesn't fit its leaf */
export type Opened = {
  readonly fields: ReadonlyMap<Field, FieldValue>;
  /** Opened elements of list fields: `messages/0` → bytes. */
  readonly elements: ReadonlyMap<string, Uint8Array>;
};

const isField = (text: string): text is Field => (fields as readonly string[]).includes(text);

/** Checks every opening against the leaves. An opening that does not fit makes the whole receipt a contradiction. */
export function openFields(receipt: Pick<Receipt, "leaves" | "openings">): Opened {
  const opened = new Map<Field, FieldValue>();
  const elements = new Map<string, Uint8Array>();
  const refuse = (where: string, why: string): never => {
    throw new CountersignError("STATEMENT_ROOT_MISMATCH", {
      message: `The opening of ${where} does not fit the commitment.`,
      why,
    });
  };
  const decode = (where: string, text: string): Uint8Array => {
    try {
      return fromBase64Url(text);
    } catch {
      return refuse(where, "Its value is not canonical base64url.");
    }
  };
  for (const { path, salt, value } of receipt.openings) {
    if (path.includes("/")) continue;
    if (!isField(path) || opened.has(path)) return refuse(path, "There is no such field, or it is opened twice.");
    const read: FieldValue =
      value === "absent"
        ? { kind: "absent" }
        : "bytes" in value
          ? { kind: "bytes", bytes: decode(path, value.bytes) }
          : { kind: "list", leaves: value.list.map(fromHex) };
    const leaf = fieldLeaf(path, fromHex(salt), read);
    if (!equalBytes(leaf, fromHex(receipt.leaves[fields.indexOf(path)] as Hex))) refuse(path, "The leaf differs.");
    opened.set(path, read);
  }
  for (const { path, salt, value } of receipt.openings) {
    const [field = "", index] = path.split("/");
    if (index === undefined) continue;
    const parent = isField(field) ? opened.get(field) : undefined;
    if (parent?.kind !== "list") return refuse(path, "Its list is not opened.");
    if (value === "absent" || !("bytes" in value) || elements.has(path))
      return refuse(path, "It must be opened once, as bytes.");
    const bytes = decode(path, value.bytes);
    const leaf = parent.leaves[Number(index)];
    if (!leaf || !equalBytes(fieldLeaf(path, fromHex(salt), { kind: "bytes", bytes }), leaf))
      refuse(path, "The leaf differs.");
    elements.set(path, bytes);
  }
  return { fields: opened, elements };
}
