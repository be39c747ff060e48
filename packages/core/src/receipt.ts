import * as z from "zod";
import { fromBase64Url, fromHex, type Hex, toHex } from "./bytes.ts";
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
    z.strictObject({
      list: z
        .array(z.string())
        .max(65_536)
        .refine((list) => list.every((hash) => /^[0-9a-f]{64}$/.test(hash)), "A hash is not 64 hexadecimal digits."),
    }),
  ]),
});

// The first fault ends the reading: a document of two hundred thousand faults must not be described fault by fault.
const openingsShape = z
  .array(z.unknown())
  .max(65_536 * 3)
  .superRefine((openings, context) => {
    for (const [i, opening] of openings.entries()) {
      const issue = openingShape.safeParse(opening).error?.issues[0];
      if (issue) {
        context.addIssue({ code: "custom", path: [i, ...issue.path], message: issue.message });
        return;
      }
    }
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
  openings: openingsShape,
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
  /** Base64 of the sealed body as it was sent: what the payment commits to where the request travelled sealed. */
  sealed: z
    .string()
    .max(192 << 20)
    .optional(),
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
  readonly sealed?: string | undefined;
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
  if (parsed.success) return parsed.data as unknown as Receipt;
  throw new CountersignError("RECEIPT_MALFORMED", {
    message: "This is not a countersign/receipt/v1 document.",
    why: z.prettifyError(parsed.error).split("\n").slice(0, 4).join(" "),
    cause: parsed.error,
  });
}

/** What the openings of a receipt open. */
export type Opened = {
  readonly fields: ReadonlyMap<Field, FieldValue>;
  /** Opened elements of list fields: `messages/0` → bytes. */
  readonly elements: ReadonlyMap<string, Uint8Array>;
  /** Salts of what is opened, by path: by them a secret can be told from a wrong one. */
  readonly salts: ReadonlyMap<string, Hex>;
  /** Openings that do not fit their leaves: they count as absent, so nobody defeats a receipt by adding one. */
  readonly faults: readonly { readonly path: string; readonly why: string }[];
};

const isField = (text: string): text is Field => (fields as readonly string[]).includes(text);

function decodeValue(value: Opening["value"]): FieldValue | undefined {
  if (value === "absent") return { kind: "absent" };
  if ("list" in value) return { kind: "list", leaves: value.list.map(fromHex) };
  try {
    return { kind: "bytes", bytes: fromBase64Url(value.bytes) };
  } catch {
    return undefined;
  }
}

/** Checks every opening against the leaves and keeps those that fit. */
export function openFields(receipt: Pick<Receipt, "leaves" | "openings">): Opened {
  const opened = new Map<Field, FieldValue>();
  const elements = new Map<string, Uint8Array>();
  const salts = new Map<string, Hex>();
  const faults: { path: string; why: string }[] = [];
  const fault = (path: string, why: string) => faults.push({ path, why });
  const [whole, parts] = [false, true].map((inside) => receipt.openings.filter((o) => o.path.includes("/") === inside));
  for (const { path, salt, value } of whole ?? []) {
    const read = decodeValue(value);
    if (!isField(path)) fault(path, "There is no such field.");
    else if (opened.has(path)) fault(path, "It is opened twice.");
    else if (!read || !fits(receipt.leaves[fields.indexOf(path)], path, salt, read))
      fault(path, "It does not fit its leaf.");
    else {
      opened.set(path, read);
      salts.set(path, salt);
    }
  }
  for (const { path, salt, value } of parts ?? []) {
    const [field = "", index] = path.split("/");
    const parent = isField(field) ? opened.get(field) : undefined;
    const leaf = parent?.kind === "list" ? parent.leaves[Number(index)] : undefined;
    const read = decodeValue(value);
    if (!leaf) fault(path, "Its list is not opened, or shorter.");
    else if (elements.has(path)) fault(path, "It is opened twice.");
    else if (read?.kind !== "bytes" || !fits(toHex(leaf), path, salt, read)) fault(path, "It does not fit its leaf.");
    else {
      elements.set(path, read.bytes);
      salts.set(path, salt);
    }
  }
  return { fields: opened, elements, salts, faults };
}

const fits = (leaf: Hex | undefined, path: string, salt: Hex, value: FieldValue): boolean =>
  leaf !== undefined && toHex(fieldLeaf(path, fromHex(salt), value)) === leaf;

/** The plain bytes of an opened field, or undefined when it is closed, absent or a list. */
export function openedBytes(opened: Opened, field: Field): Uint8Array | undefined {
  const value = opened.fields.get(field);
  return value?.kind === "bytes" ? value.bytes : undefined;
}
