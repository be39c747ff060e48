import {
  type Content,
  CountersignError,
  type EndpointPath,
  elementLeaves,
  endpoints,
  type Field,
  fieldLeaf,
  fieldSalt,
  fields,
  fromBase64Url,
  fromHex,
  type Opening,
  type Output,
  outputBytes,
  type ParsedRequest,
  parseRequest,
  type Receipt,
  readDelivered,
  toBase64Url,
  toHex,
} from "@countersign/core";
import type { Delivered } from "./delivered.ts";

/** The request taken apart, or why it could not be. */
export type ReadRequest = { readonly parsed: ParsedRequest } | { readonly error: CountersignError } | undefined;

const isEndpoint = (path: string): path is EndpointPath => Object.hasOwn(endpoints, path);

/** Reads the supplied request. */
export function readRequest(delivered: Delivered): ReadRequest {
  const { request } = delivered;
  if (!request) return undefined;
  if (!isEndpoint(request.path)) {
    return {
      error: new CountersignError("ENDPOINT_UNKNOWN", {
        message: `${request.path} is not an endpoint that gives receipts.`,
      }),
    };
  }
  try {
    return { parsed: parseRequest(request.path, request.body) };
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return { error };
  }
}

/** Reads the supplied answer body in the form of the request's endpoint. */
export function readAnswer(delivered: Delivered): readonly Output[] | CountersignError | undefined {
  const { output, request } = delivered;
  if (!output || !("body" in output)) return undefined;
  const path = request?.path ?? "/v1/chat/completions";
  if (!isEndpoint(path)) return undefined;
  try {
    return readDelivered(path, output.body);
  } catch (error) {
    if (!CountersignError.is(error)) throw error;
    return error;
  }
}

const has = (openings: readonly Opening[], path: string) => openings.some((o) => o.path === path);

/**
 * Adds the openings that follow from the holder's secret and the content he has: the request's fields and the answers.
 *
 * Only openings that fit their leaves are added, so content that was altered on the way shows up as closed here and as
 * different in the comparison.
 */
export function completeReceipt(receipt: Receipt, delivered: Delivered): Receipt {
  if (!receipt.holder) return receipt;
  const secret = fromHex(receipt.holder.receiptSecret);
  const openings = [...receipt.openings];
  const leafOf = (field: Field) => receipt.leaves[fields.indexOf(field)];
  const request = readRequest(delivered);
  const derived: Partial<Record<Field, Content>> = request && "parsed" in request ? request.parsed.contents : {};
  for (const field of ["rawRequest", "system", "messages", "tools"] as const) {
    const content = derived[field];
    const salt = fieldSalt(secret, field);
    if (content === undefined) continue;
    if (content instanceof Uint8Array) {
      if (has(openings, field) || toHex(fieldLeaf(field, salt, { kind: "bytes", bytes: content })) !== leafOf(field))
        continue;
      openings.push({ path: field, salt: toHex(salt), value: { bytes: toBase64Url(content) } });
      continue;
    }
    const leaves = elementLeaves(field, secret, content);
    if (toHex(fieldLeaf(field, salt, { kind: "list", leaves })) !== leafOf(field)) continue;
    if (!has(openings, field)) openings.push({ path: field, salt: toHex(salt), value: { list: leaves.map(toHex) } });
    content.forEach((bytes, i) => {
      addElement(openings, secret, `${field}/${i}`, bytes);
    });
  }
  const answers = readAnswer(delivered);
  const list = openings.find((o) => o.path === "output")?.value;
  if (Array.isArray(answers) && list && typeof list === "object" && "list" in list) {
    const outputs = answers as readonly Output[];
    outputs.forEach((output, i) => {
      const index = output.kind === "message" || output.kind === "text" ? 2 * i : i;
      const path = `output/${index}`;
      const bytes = outputBytes(output);
      const leaf = fieldLeaf(path, fieldSalt(secret, path), { kind: "bytes", bytes });
      if (toHex(leaf) === list.list[index]) addElement(openings, secret, path, bytes);
    });
  }
  return { ...receipt, openings };
}

function addElement(openings: Opening[], secret: Uint8Array, path: string, bytes: Uint8Array): void {
  if (has(openings, path)) return;
  openings.push({ path, salt: toHex(fieldSalt(secret, path)), value: { bytes: toBase64Url(bytes) } });
}

/** Fields whose openings travel with every receipt. */
export const openByDefault: readonly Field[] = ["policy", "offer", "promptVersion", "model", "profile"];

/**
 * A copy to hand on: without the holder's secret, with the default openings and those named.
 *
 * @param paths Fields or elements: `system`, `messages/0`, `output/0`. Opening an element opens its list's hashes too.
 * @throws DISCLOSURE_IMPOSSIBLE when the receipt does not hold an opening
 */
export function disclose(receipt: Receipt, paths: readonly string[]): Receipt {
  const wanted = new Set<string>(openByDefault);
  for (const path of paths) {
    wanted.add(path);
    wanted.add(path.split("/")[0] as string);
    if (!receipt.openings.some((o) => o.path === path)) {
      throw new CountersignError("DISCLOSURE_IMPOSSIBLE", {
        message: `The receipt holds no opening of "${path}".`,
        why: "Opening a field takes its salt and its value; without them nobody can open it.",
        remedy: `It can open: ${receipt.openings.map((o) => o.path).join(", ")}.`,
      });
    }
  }
  return { ...receipt, openings: receipt.openings.filter((o) => wanted.has(o.path)), holder: null };
}

/**
 * My receipt with the late evidence, log proofs and snapshots of another copy.
 *
 * @throws STATEMENT_ROOT_MISMATCH when the other copy is of another receipt
 */
export function refreshReceipt(mine: Receipt, theirs: Receipt): Receipt {
  if (mine.leaves.join() !== theirs.leaves.join() || mine.statement.payload !== theirs.statement.payload) {
    throw new CountersignError("STATEMENT_ROOT_MISMATCH", { message: "The other copy is of another receipt." });
  }
  // A union: a copy that lacks an item must not be able to make me forget it.
  const union = <T>(a: readonly T[], b: readonly T[], id: (t: T) => string) => [
    ...new Map([...a, ...b].map((t) => [id(t), t])).values(),
  ];
  return {
    ...mine,
    delivery: mine.delivery ?? theirs.delivery,
    keys: union(mine.keys, theirs.keys, JSON.stringify),
    evidence: union(mine.evidence, theirs.evidence, (e) => e.envelope.payload),
    inclusion: union(mine.inclusion, theirs.inclusion, (i) => i.entry),
    snapshots: theirs.snapshots.length > 0 ? theirs.snapshots : mine.snapshots,
    anchors: union(mine.anchors, theirs.anchors, JSON.stringify),
    head: mine.head ?? theirs.head,
  };
}

/** Bytes of an opening's plain value. */
export const openedBytes = (opening: Opening | undefined): Uint8Array | undefined =>
  opening && typeof opening.value === "object" && "bytes" in opening.value
    ? fromBase64Url(opening.value.bytes)
    : undefined;
