import {
  type Content,
  CountersignError,
  type DeliveredAnswer,
  type EndpointPath,
  elementLeaves,
  endpoints,
  type Field,
  type FieldValue,
  fieldLeaf,
  fieldSalt,
  fields,
  fromHex,
  type Hex,
  type Opening,
  openFields,
  outputBytes,
  type ParsedRequest,
  parseRequest,
  type Receipt,
  readAnswer,
  readRun,
  sha256Hex,
  toBase64,
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

/** Reads the supplied answer body in the form of an endpoint; what cannot be read comes back as its error. */
export function readAnswerOf(
  delivered: Delivered,
  endpoint: EndpointPath,
): DeliveredAnswer | CountersignError | undefined {
  const { output } = delivered;
  if (!output || !("body" in output)) return undefined;
  try {
    return readAnswer(endpoint, output.body);
  } catch (cause) {
    if (CountersignError.is(cause)) return cause;
    return new CountersignError("STREAM_MALFORMED", { message: "The delivered answer cannot be read.", cause });
  }
}

/**
 * Adds the openings that follow from the holder's secret and what he has: the request's fields, his nonce, the answers.
 *
 * Only openings that fit their leaves are added, so content that was altered on the way shows up as closed here and as
 * different in the comparison.
 */
export function completeReceipt(receipt: Receipt, delivered: Delivered): Receipt {
  if (!receipt.holder) return receipt;
  const secret = fromHex(receipt.holder.receiptSecret);
  // What does not fit counts as absent; kept here, it would stand in the place of the opening that does.
  const openings = soundOpenings(receipt);
  const known = new Set(openings.map((o) => o.path));
  const leafOf = (field: Field) => receipt.leaves[fields.indexOf(field)];
  const add = (path: string, value: Opening["value"]) => {
    if (known.has(path)) return;
    known.add(path);
    openings.push({ path, salt: toHex(fieldSalt(secret, path)), value });
  };
  const fits = (field: Field, value: FieldValue) =>
    toHex(fieldLeaf(field, fieldSalt(secret, field), value)) === leafOf(field);
  const request = readRequest(delivered);
  const contents = request && "parsed" in request ? request.parsed.contents : {};
  for (const field of ["rawRequest", "system", "messages", "tools"] as const) {
    const content: Content = contents[field];
    if (content === undefined) continue;
    if (content instanceof Uint8Array) {
      if (fits(field, { kind: "bytes", bytes: content })) add(field, { bytes: toBase64Url(content) });
      continue;
    }
    const list = content as readonly Uint8Array[];
    const leaves = elementLeaves(field, secret, list);
    if (!fits(field, { kind: "list", leaves })) continue;
    add(field, { list: leaves.map(toHex) });
    for (const [i, bytes] of list.entries()) add(`${field}/${i}`, { bytes: toBase64Url(bytes) });
  }
  if (delivered.clientNonce !== undefined) {
    const nonce = fromHex(delivered.clientNonce);
    if (fits("clientNonce", { kind: "bytes", bytes: nonce })) add("clientNonce", { bytes: toBase64Url(nonce) });
  }
  const answer = readAnswerOf(delivered, readRun(receipt.statement).predicate.endpoint);
  const list = openings.find((o) => o.path === "output")?.value;
  if (answer && !CountersignError.is(answer) && typeof list === "object" && "list" in list) {
    for (const [i, output] of answer.outputs.entries()) {
      const index = output.kind === "message" || output.kind === "text" ? 2 * i : i;
      const path = `output/${index}`;
      const bytes = outputBytes(output);
      const leaf = fieldLeaf(path, fieldSalt(secret, path), { kind: "bytes", bytes });
      if (toHex(leaf) === list.list[index]) add(path, { bytes: toBase64Url(bytes) });
    }
  }
  return { ...receipt, openings, ...sealedPart(receipt, delivered) };
}

/** The sealed body, where it is the one that the statement names: without it the file could not be checked alone. */
function sealedPart({ statement }: Receipt, { sealed }: Delivered): Pick<Receipt, "sealed"> {
  const { channel } = readRun(statement).predicate;
  return sealed && channel?.request === sha256Hex(sealed.body) ? { sealed: toBase64(sealed.body) } : {};
}

/** The openings that fit their leaves. */
function soundOpenings(receipt: Receipt): Opening[] {
  const { fields: opened, elements, salts } = openFields(receipt);
  const bytesOf = (bytes: Uint8Array) => ({ bytes: toBase64Url(bytes) });
  const valueIn = (value: FieldValue): Opening["value"] =>
    value.kind === "absent"
      ? "absent"
      : value.kind === "list"
        ? { list: value.leaves.map(toHex) }
        : bytesOf(value.bytes);
  const all = [
    ...[...opened].map(([p, v]) => [p, valueIn(v)] as const),
    ...[...elements].map(([p, b]) => [p, bytesOf(b)] as const),
  ];
  return all.map(([path, value]) => ({ path, salt: salts.get(path) as Hex, value }));
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
  // Whoever sees the request needs the nonce to recompute its digest; with the request open it hides nothing more.
  const shown =
    paths.includes("rawRequest") && receipt.openings.some((o) => o.path === "clientNonce")
      ? [...paths, "clientNonce"]
      : paths;
  for (const path of shown) {
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
  // Mine come first and are never cut: a hostile copy can neither replace nor crowd out what I have.
  const union = <T>(a: readonly T[], b: readonly T[], most: number) =>
    [...new Map([...a, ...b].map((t) => [JSON.stringify(t), t])).values()].slice(0, Math.max(most, a.length));
  // Newer proofs and snapshots come before my later ones, where there is room; every one of them is tried. My first ones
  // never go: however many copies a hostile gateway sends, it cannot push out what I had before.
  const renew = <T>(a: readonly T[], b: readonly T[], most: number) => {
    const half = most >> 1;
    return union([...a.slice(0, half), ...b.slice(0, half)], a.slice(half), most).slice(0, most);
  };
  return {
    ...mine,
    offer: mine.offer ?? theirs.offer,
    delivery: mine.delivery ?? theirs.delivery,
    keys: union(mine.keys, theirs.keys, 16),
    evidence: union(mine.evidence, theirs.evidence, 64),
    inclusion: renew(mine.inclusion, theirs.inclusion, 65),
    snapshots: renew(mine.snapshots, theirs.snapshots, 16),
    anchors: union(mine.anchors, theirs.anchors, 16),
    head: mine.head ?? theirs.head,
  };
}
