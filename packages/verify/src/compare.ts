import {
  type Comparison,
  type Content,
  CountersignError,
  elementLeaves,
  equalBytes,
  type Field,
  type FieldValue,
  fieldLeaf,
  fieldSalt,
  fields,
  fromBase64,
  fromHex,
  isObject,
  type JsonObject,
  modelLeafShape,
  type Opened,
  type Output,
  offerLeafShape,
  openedBytes,
  outputBytes,
  type Param,
  type ParsedRequest,
  parseJsonBytes,
  plain,
  type Receipt,
  readOutput,
  requestDigest,
  requestTag,
  resultLeafShape,
  type Statement,
  sha256Hex,
  toHex,
} from "@countersign/core";
import type { Delivered } from "./delivered.ts";
import { type ReadRequest, readAnswerOf } from "./open.ts";
import { readLeaf, readParams } from "./read-leaf.ts";

/** What the comparisons are made from: the signed commitment on one side, content in hand on the other. */
export type Sides = {
  readonly receipt: Receipt;
  readonly statement: Statement;
  readonly opened: Opened;
  readonly delivered: Delivered;
  readonly request: ReadRequest;
  /** The holder's secret, when it was shown to be this receipt's. */
  readonly secret: Uint8Array | undefined;
};

const same = (reason: string): Comparison => ({ status: "same", reason });
const closed = (reason: string, code?: Comparison["code"]): Comparison => ({
  status: "closed",
  reason,
  ...(code && { code }),
});
const different = (code: NonNullable<Comparison["code"]>, reason: string): Comparison => ({
  status: "different",
  code,
  reason,
});

/**
 * The holder's secret if it is this receipt's: it must give the salt of some opening that fits.
 *
 * The container is unsigned, so a wrong secret may stand in it; it then counts as absent and refutes nothing.
 */
export function soundSecret(receipt: Receipt, statement: Statement, opened: Opened): Uint8Array | undefined {
  if (!receipt.holder) return undefined;
  const secret = fromHex(receipt.holder.receiptSecret);
  const owner: readonly string[] = statement.ownerSalted;
  for (const [path, salt] of opened.salts) {
    if (owner.includes(path.split("/")[0] as string)) continue;
    return toHex(fieldSalt(secret, path)) === salt ? secret : undefined;
  }
  return undefined;
}

/** Whether a field is committed as `content`: by its opening, else by the holder's secret, else unknown. */
function commits(sides: Sides, field: Field, content: Content): boolean | undefined {
  const value = sides.opened.fields.get(field);
  const ownerSalted = (sides.statement.ownerSalted as readonly string[]).includes(field);
  const secret = ownerSalted ? undefined : sides.secret;
  const leaf = sides.receipt.leaves[fields.indexOf(field)];
  const byLeaf = (v: FieldValue) => secret && toHex(fieldLeaf(field, fieldSalt(secret, field), v)) === leaf;
  if (content === undefined) return value ? value.kind === "absent" : byLeaf({ kind: "absent" });
  if (content instanceof Uint8Array) {
    if (value) return value.kind === "bytes" && equalBytes(value.bytes, content);
    return byLeaf(plain(content));
  }
  const list = content as readonly Uint8Array[];
  if (secret) return byLeaf({ kind: "list", leaves: elementLeaves(field, secret, list) });
  if (!value) return undefined;
  if (value.kind !== "list" || value.leaves.length !== list.length) return false;
  const elements = list.map((bytes, i) => {
    const found = sides.opened.elements.get(`${field}/${i}`);
    return found === undefined ? undefined : equalBytes(found, bytes);
  });
  return elements.includes(false) ? false : elements.includes(undefined) ? undefined : true;
}

/**
 * The bytes that travelled in the place of a sealed request: they are what offer and payment commit to.
 *
 * What stands in the container is unsigned; where it is not the body that the statement names it counts as absent.
 */
function sealedBody({ receipt, delivered, statement, request }: Sides): Uint8Array | Comparison {
  const mine = delivered.sealed?.body;
  const body = mine ?? (receipt.sealed === undefined ? undefined : attached(receipt.sealed));
  if (!body) return closed("The request travelled sealed, and the sealed body was neither supplied nor attached.");
  if (!mine && sha256Hex(body) !== statement.channel?.request)
    return closed("The attached sealed body is not the one that the statement names; it counts as absent.");
  if (sha256Hex(body) !== statement.channel?.request)
    return different("REQUEST_MISMATCH", "The enclave opened another sealed body than this one.");
  const clear = clearMembers(body);
  if (!clear) return closed("The sealed body cannot be read.", "CHANNEL_MALFORMED");
  if (!request || !("parsed" in request)) return body;
  const { value } = request.parsed;
  const other = Object.keys(clear).find((name) => JSON.stringify(clear[name]) !== JSON.stringify(value[name]));
  return other === undefined
    ? body
    : different("REQUEST_MISMATCH", `The sealed body says another ${other.slice(0, 64)} in clear than inside.`);
}

function attached(text: string): Uint8Array | undefined {
  try {
    return fromBase64(text);
  } catch {
    return undefined;
  }
}

/** What of a sealed body stands in clear. */
function clearMembers(body: Uint8Array): JsonObject | undefined {
  try {
    const value = parseJsonBytes(body);
    if (!isObject(value)) return undefined;
    const { sealed: _, ...clear } = value;
    return clear;
  } catch {
    return undefined;
  }
}

/**
 * Whether the committed request is the one in hand: leaf 0 **and** the request digest, both recomputed.
 *
 * One of them is not enough: a node could hash one request into the digest and commit another under leaf 0.
 */
export function compareRequest(sides: Sides): Comparison {
  const { delivered, statement, opened, request } = sides;
  const body = delivered.request?.body ?? openedBytes(opened, "rawRequest");
  if (!body) return closed("The request was neither supplied nor opened.");
  if (delivered.request && delivered.request.path !== statement.endpoint) {
    return different(
      "REQUEST_MISMATCH",
      `The request went to ${delivered.request.path}, the receipt is about ${statement.endpoint}.`,
    );
  }
  const raw = commits(sides, "rawRequest", body);
  if (raw === false) return different("REQUEST_MISMATCH", "The node was given other bytes than this request.");
  const mine = delivered.clientNonce === undefined ? undefined : fromHex(delivered.clientNonce);
  if (mine) {
    const nonce = commits(sides, "clientNonce", mine);
    if (nonce === false)
      return different("REQUEST_MISMATCH", "The receipt commits to another client nonce than yours.");
  }
  if (request && "error" in request) return closed(request.error.detail.message, request.error.code);
  const known = mine ?? openedBytes(opened, "clientNonce");
  const policy = openedBytes(opened, "policy");
  const sent = statement.channel ? sealedBody(sides) : body;
  if (!(sent instanceof Uint8Array)) return sent;
  if (known && policy) {
    const method = delivered.request?.method ?? "POST";
    const digest = requestDigest({ clientNonce: known, method, path: statement.endpoint, policy, body: sent });
    if (toHex(digest) !== statement.requestDigest) {
      return different("REQUEST_MISMATCH", "Request, policy and nonce do not hash to the statement's request digest.");
    }
  }
  if (!known || !policy)
    return closed("The request digest cannot be recomputed without the client nonce and the field policy.");
  if (raw === undefined)
    return closed("The committed request cannot be recomputed without an opening or the holder's secret.");
  if (!opened.fields.has("offer")) return closed("The field offer is closed: which offer was accepted is not shown.");
  // With another nonce in the tag, two runs of one request would not be seen to be two (A4).
  if (!openedBytes(opened, "offer")) return closed("No offer is committed, so the request's tag stands on nothing.");
  const accepted = readLeaf(offerLeafShape, opened, "offer")?.offer;
  if (accepted === undefined || toHex(requestTag(known, accepted)) !== statement.requestTag)
    return different("REQUEST_MISMATCH", "The public request tag is not that of this nonce and offer.");
  return same("The committed bytes and the request digest are those of the request.");
}

const paramEqual = (a: Param | undefined, b: Param | undefined) =>
  a !== undefined && JSON.stringify(a) === JSON.stringify(b);

/** Whether what the model saw follows from the request: leaves 3–6 recomputed, the model asked for, rewrites declared (R6). */
export function comparePrompt(sides: Sides, request: Comparison, parsed: ParsedRequest | undefined): Comparison {
  const { statement, opened } = sides;
  if (request.status === "different") return different("REQUEST_MISMATCH", request.reason);
  if (!parsed) return closed(request.reason, request.code);
  const origin = statement.scope === "origin";
  // Renaming the model for an upstream changes nothing that the model sees.
  const rewrites = statement.rewrites.filter((r) => !(origin && r === "model"));
  const declared = (what: string) => statement.rewrites.includes(what);
  const model = readLeaf(modelLeafShape, opened, "model");
  if (model && model.requested !== parsed.model) {
    return different(
      "REWRITE_UNDECLARED",
      `The request asks for ${parsed.model}, the receipt says ${model.requested} was asked for. No rewrite is declared.`,
    );
  }
  if (!declared("model")) {
    const other = [
      model?.substitutedFrom && "Another model was put in the place of the one that was asked for.",
      !origin &&
        statement.model.id !== parsed.model &&
        `The request asks for ${parsed.model}, ${statement.model.id} answered.`,
    ].find((why) => typeof why === "string");
    if (other) return different("REWRITE_UNDECLARED", `${other} No rewrite is declared.`);
  }
  for (const field of ["system", "messages", "tools"] as const) {
    const committed = commits(sides, field, parsed.contents[field]);
    if (committed === false && !declared(field)) {
      return different(
        "REWRITE_UNDECLARED",
        `The committed ${field} are not those of the request, and no rewrite is declared.`,
      );
    }
    if (committed === undefined && rewrites.length === 0) {
      return closed(`The committed ${field} cannot be recomputed without an opening.`);
    }
  }
  if (!model) return closed("The field model is closed: which model was asked for is not shown.");
  const effective = readParams(opened);
  if (!effective) return closed("The parameters in effect are not opened.");
  for (const [name, wanted] of Object.entries(parsed.params)) {
    const found = Object.hasOwn(effective, name) ? effective[name] : undefined;
    if (paramEqual(found, wanted) || declared(`params.${name}`)) continue;
    return different(
      "REWRITE_UNDECLARED",
      `The parameter ${name} was asked as ${JSON.stringify(wanted)} and took effect as ${JSON.stringify(found)}.`,
    );
  }
  if (request.status === "closed") return request;
  if (rewrites.length > 0) return closed(`The deployment declares rewrites: ${rewrites.join(", ")}.`);
  return same("Model, system prompt, messages, tools and parameters follow from the request; no rewrite is declared.");
}

const isText = (output: Output) => output.kind === "message" || output.kind === "text";
const placeOf = (output: Output, i: number) => (isText(output) ? 2 * i : i);
const finishes: readonly string[] = ["stop", "length", "tool_calls", "content_filter"];

/** Whether the delivered answer is the committed one. */
export function compareOutput(sides: Sides): Comparison {
  const { delivered, opened, statement } = sides;
  const list = opened.fields.get("output");
  if (statement.outcome === "aborted") {
    return closed("The run was aborted; there is no full answer.", "RUN_INCOMPLETE");
  }
  if (list?.kind !== "list") return closed("The list of answers is not opened.");
  if (list.leaves.length === 0) return closed("No answer is committed.", "RUN_INCOMPLETE");
  if (!delivered.output) {
    // A language model's answer stands at the even places, its tokens at the odd ones.
    const step = statement.endpoint === "/v1/embeddings" || statement.endpoint === "/v1/infer" ? 1 : 2;
    const answers = list.leaves.flatMap((_, i) => (i % step === 0 ? [opened.elements.get(`output/${i}`)] : []));
    if (answers.includes(undefined)) return closed("The answer was neither supplied nor opened.");
    const outputs = answers.map((bytes) => readOutput(bytes as Uint8Array));
    if (outputs.includes(undefined)) return closed("A committed answer cannot be read.", "OUTPUT_MISMATCH");
    return outputs.map(unfinished).find((why) => why) ?? same("The answer is opened from the commitment itself.");
  }
  if ("text" in delivered.output) return compareText(sides, list.leaves, delivered.output.text);
  const answer = readAnswerOf(delivered, statement.endpoint);
  if (answer === undefined) return closed("The answer was not supplied.");
  if (CountersignError.is(answer)) {
    // Content that nobody signed stands beside the answer: that is a difference, not something unreadable.
    return answer.code === "OUTPUT_MISMATCH"
      ? different(answer.code, answer.detail.message)
      : closed(answer.detail.message, answer.code);
  }
  const { outputs } = answer;
  const places = outputs.reduce((n, o) => n + (isText(o) ? 2 : 1), 0);
  if (places !== list.leaves.length) {
    return different(
      "OUTPUT_MISMATCH",
      `The answer has ${outputs.length} choices, the commitment ${list.leaves.length} places.`,
    );
  }
  for (const [i, output] of outputs.entries()) {
    const found = compareOne(sides, list.leaves, output, i);
    if (found) return found;
    const cut = unfinished(output, i);
    if (cut) return cut;
  }
  return compareNames(sides, answer.models) ?? same("The delivered answer is the committed one, byte for byte.");
}

/** That an answer ended in a way that is no full answer. */
const unfinished = (output: Output | undefined, i: number): Comparison | undefined =>
  output && "finish" in output && !finishes.includes(output.finish)
    ? closed(`Choice ${i} ended with "${output.finish.slice(0, 64)}", which is no full answer.`, "RUN_INCOMPLETE")
    : undefined;

/** Whether the answer names a model that is not the receipt's; a level behind the name must be the one asked for. */
function compareNames({ opened, statement, request }: Sides, models: readonly string[]): Comparison | undefined {
  const asked = readLeaf(modelLeafShape, opened, "model");
  const written = request && "parsed" in request ? request.parsed.value.model : undefined;
  const names = [statement.model.id, asked?.requested, asked?.served, written];
  const foreign = models.find((m) => !names.includes(m));
  if (foreign === undefined) return undefined;
  const why = `The answer names the model ${JSON.stringify(foreign.slice(0, 80))}, which is not the receipt's.`;
  // Without the request and leaf `model` it may be how the caller wrote it.
  return asked && written !== undefined ? different("OUTPUT_MISMATCH", why) : closed(why, "OUTPUT_MISMATCH");
}

/** What is wrong with one answer, or undefined when it is the committed one. */
function compareOne(
  { opened, secret }: Sides,
  leaves: readonly Uint8Array[],
  output: Output,
  i: number,
): Comparison | undefined {
  const index = placeOf(output, i);
  const path = `output/${index}`;
  const bytes = outputBytes(output);
  const element = opened.elements.get(path);
  if (element)
    return equalBytes(element, bytes)
      ? undefined
      : different("OUTPUT_MISMATCH", `Choice ${i} is not the committed answer.`);
  if (!secret) return closed("The committed answer cannot be recomputed without the holder's secret or an opening.");
  const leaf = fieldLeaf(path, fieldSalt(secret, path), plain(bytes));
  return equalBytes(leaf, leaves[index] as Uint8Array)
    ? undefined
    : different("OUTPUT_MISMATCH", `Choice ${i} is not the committed answer.`);
}

/** A plain text against the first choice: its opening says for sure, a guess by the secret only confirms. */
function compareText({ opened, statement, secret }: Sides, leaves: readonly Uint8Array[], text: string): Comparison {
  const element = opened.elements.get("output/0");
  const committed = element && readOutput(element);
  if (committed) {
    const said =
      committed.kind === "message" ? committed.content : committed.kind === "text" ? committed.text : undefined;
    if (typeof said !== "string") return closed("The committed answer is no text.");
    if (committed.kind === "message" && committed.tool_calls.length > 0)
      return closed("The committed answer has tool calls, which a plain text does not show.", "OUTPUT_MISMATCH");
    const cut = unfinished(committed, 0);
    if (cut) return cut;
    return said === text
      ? same("The text is the committed first choice's.")
      : different("OUTPUT_MISMATCH", "The text is not the committed first choice's.");
  }
  if (secret) {
    const known = readLeaf(resultLeafShape, opened, "result")?.finish[0];
    for (const finish of known === undefined ? finishes : [known]) {
      const guess: Output =
        statement.endpoint === "/v1/completions"
          ? { kind: "text", text, finish }
          : { kind: "message", content: text, tool_calls: [], finish };
      const leaf = fieldLeaf("output/0", fieldSalt(secret, "output/0"), plain(outputBytes(guess)));
      if (equalBytes(leaf, leaves[0] as Uint8Array)) return same("The text is the committed first choice's.");
    }
    return closed(
      "The text is not the first choice as it stands; supply the whole answer body to be told why.",
      "OUTPUT_MISMATCH",
    );
  }
  return closed("A plain text can be compared only when the first choice is opened.");
}

/** The demand that the statement records, as leaf `policy` must hold it. */
export const demandOf = (statement: Statement) => ({
  require: statement.policy.demanded,
  release: statement.policy.release,
  deadline: statement.policy.deadline,
  source: statement.policy.source,
});
