import {
  type Comparison,
  type Content,
  type Demand,
  elementLeaves,
  equalBytes,
  type Field,
  type FieldValue,
  fieldLeaf,
  fieldSalt,
  fields,
  fromHex,
  type Opened,
  type Output,
  outputBytes,
  type Param,
  type ParsedRequest,
  parseCanonical,
  plain,
  type Receipt,
  requestDigest,
  resultLeafShape,
  type Statement,
  toHex,
} from "@countersign/core";
import type { Delivered } from "./delivered.ts";
import { type ReadRequest, readAnswer } from "./open.ts";

/** What the comparisons are made from: the signed commitment on one side, content in hand on the other. */
export type Sides = {
  readonly receipt: Receipt;
  readonly statement: Statement;
  readonly opened: Opened;
  readonly delivered: Delivered;
  readonly request: ReadRequest;
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

/** Whether a field is committed as `content`: by its opening, else by the holder's secret, else unknown. */
function commits(sides: Sides, field: Field, content: Content): boolean | undefined {
  const value = sides.opened.fields.get(field);
  const secret = sides.receipt.holder ? fromHex(sides.receipt.holder.receiptSecret) : undefined;
  const ownerSalted = (sides.statement.ownerSalted as readonly string[]).includes(field);
  const leaf = sides.receipt.leaves[fields.indexOf(field)];
  const byLeaf = (v: FieldValue) =>
    secret && !ownerSalted && toHex(fieldLeaf(field, fieldSalt(secret, field), v)) === leaf;
  if (content === undefined) return value ? value.kind === "absent" : byLeaf({ kind: "absent" });
  if (content instanceof Uint8Array) {
    if (value) return value.kind === "bytes" && equalBytes(value.bytes, content);
    return byLeaf(plain(content));
  }
  const list = content as readonly Uint8Array[];
  if (secret && !ownerSalted) return byLeaf({ kind: "list", leaves: elementLeaves(field, secret, list) });
  if (!value) return undefined;
  if (value.kind !== "list" || value.leaves.length !== list.length) return false;
  const elements = list.map((bytes, i) => {
    const found = sides.opened.elements.get(`${field}/${i}`);
    return found === undefined ? undefined : equalBytes(found, bytes);
  });
  return elements.includes(false) ? false : elements.includes(undefined) ? undefined : true;
}

const openedPlain = (opened: Opened, field: Field): Uint8Array | undefined => {
  const value = opened.fields.get(field);
  return value?.kind === "bytes" ? value.bytes : undefined;
};

/** Whether the committed request is the one supplied (leaf 0, the request digest and the nonce). */
export function compareRequest(sides: Sides): Comparison {
  const { delivered, statement, opened, request } = sides;
  const body = delivered.request?.body ?? openedPlain(opened, "rawRequest");
  if (!body) return closed("The request was neither supplied nor opened.");
  if (delivered.request && delivered.request.path !== statement.endpoint) {
    return different(
      "REQUEST_MISMATCH",
      `The request went to ${delivered.request.path}, the receipt is about ${statement.endpoint}.`,
    );
  }
  if (request && "error" in request) return closed(request.error.detail.message, request.error.code);
  const committed = commits(sides, "rawRequest", body);
  if (committed === false) return different("REQUEST_MISMATCH", "The node was given other bytes than this request.");
  const nonce = openedPlain(opened, "clientNonce");
  if (nonce && delivered.clientNonce && toHex(nonce) !== delivered.clientNonce) {
    return different("REQUEST_MISMATCH", "The receipt commits to another client nonce.");
  }
  const known = nonce ?? (delivered.clientNonce ? fromHex(delivered.clientNonce) : undefined);
  const policy = openedPlain(opened, "policy");
  if (known && policy) {
    const digest = requestDigest({
      clientNonce: known,
      method: delivered.request?.method ?? "POST",
      path: statement.endpoint,
      policy,
      body,
    });
    if (toHex(digest) !== statement.requestDigest) {
      return different("REQUEST_MISMATCH", "Request, policy and nonce do not hash to the statement's request digest.");
    }
    return same("The request digest and the committed bytes are those of the request.");
  }
  if (committed) return same("The committed bytes are those of the request.");
  return closed(
    "The request is supplied, but neither its leaf nor its digest can be recomputed without the holder's openings.",
  );
}

const paramEqual = (a: Param | undefined, b: Param | undefined) =>
  a !== undefined && JSON.stringify(a) === JSON.stringify(b);

/** Whether what the model saw follows from the request: leaves 3–6 recomputed, rewrites declared (R6). */
export function comparePrompt(sides: Sides, request: Comparison, parsed: ParsedRequest | undefined): Comparison {
  const { statement, opened } = sides;
  if (request.status === "different") return different("REQUEST_MISMATCH", request.reason);
  if (!parsed) return closed("The request was neither supplied nor opened.");
  if (request.status === "closed") return request;
  // Renaming the model for an upstream changes nothing that the model sees.
  const rewrites = statement.rewrites.filter((r) => r !== "model");
  for (const field of ["system", "messages", "tools"] as const) {
    const committed = commits(sides, field, parsed.contents[field]);
    if (committed === false && !statement.rewrites.includes(field)) {
      return different(
        "REWRITE_UNDECLARED",
        `The committed ${field} are not those of the request, and no rewrite is declared.`,
      );
    }
    if (committed === undefined && rewrites.length === 0)
      return closed(`The committed ${field} cannot be recomputed without an opening.`);
  }
  const params = openedPlain(opened, "params");
  if (!params) return closed("The parameters in effect are not opened.");
  const effective = parseCanonical(params) as Readonly<Record<string, Param>>;
  for (const [name, wanted] of Object.entries(parsed.params)) {
    if (paramEqual(effective[name], wanted) || statement.rewrites.includes(`params.${name}`)) continue;
    return different(
      "REWRITE_UNDECLARED",
      `The parameter ${name} was asked as ${JSON.stringify(wanted)} and took effect as ${JSON.stringify(effective[name])}.`,
    );
  }
  if (rewrites.length > 0) return closed(`The deployment declares rewrites: ${rewrites.join(", ")}.`);
  return same("System prompt, messages, tools and parameters follow from the request; no rewrite is declared.");
}

/** Whether the delivered answer is the committed one. */
export function compareOutput(sides: Sides): Comparison {
  const { delivered, opened, statement, receipt } = sides;
  const list = opened.fields.get("output");
  if (statement.outcome === "aborted") return closed("The run was aborted; there is no full answer.", "RUN_INCOMPLETE");
  if (!delivered.output) {
    // A language model's answer stands at the even places, its tokens at the odd ones.
    const step = statement.endpoint === "/v1/embeddings" || statement.endpoint === "/v1/infer" ? 1 : 2;
    const all =
      list?.kind === "list" &&
      list.leaves.length > 0 &&
      list.leaves.every((_, i) => i % step !== 0 || opened.elements.has(`output/${i}`));
    return all
      ? same("The answer is opened from the commitment itself.")
      : closed("The answer was neither supplied nor opened.");
  }
  if (list?.kind !== "list") return closed("The list of answers is not opened.");
  const answers =
    "text" in delivered.output
      ? fromText(sides, delivered.output.text)
      : readAnswer({
          ...delivered,
          request: delivered.request ?? { method: "POST", path: statement.endpoint, body: new Uint8Array() },
        });
  if (answers === undefined)
    return closed("A plain text can be compared only when the answer's other parts are opened.");
  if (!Array.isArray(answers)) {
    const error = answers as Exclude<typeof answers, readonly Output[]>;
    return closed(error.detail.message, error.code);
  }
  const outputs = answers as readonly Output[];
  const places = outputs.reduce((n, o) => n + (o.kind === "message" || o.kind === "text" ? 2 : 1), 0);
  if (places !== list.leaves.length)
    return different(
      "OUTPUT_MISMATCH",
      `The answer has ${outputs.length} choices, the commitment has ${list.leaves.length} places.`,
    );
  const secret = receipt.holder ? fromHex(receipt.holder.receiptSecret) : undefined;
  for (const [i, output] of outputs.entries()) {
    const index = output.kind === "message" || output.kind === "text" ? 2 * i : i;
    const path = `output/${index}`;
    const bytes = outputBytes(output);
    const element = opened.elements.get(path);
    if (element) {
      if (!equalBytes(element, bytes)) return different("OUTPUT_MISMATCH", `Choice ${i} is not the committed answer.`);
      continue;
    }
    if (!secret) return closed("The committed answer cannot be recomputed without the holder's secret or an opening.");
    const leaf = fieldLeaf(path, fieldSalt(secret, path), plain(bytes));
    if (!equalBytes(leaf, list.leaves[index] as Uint8Array))
      return different("OUTPUT_MISMATCH", `Choice ${i} is not the committed answer.`);
  }
  return same("The delivered answer is the committed one, byte for byte.");
}

/** A plain text as the answer it would be, with the finish reason and tool calls that are opened. */
function fromText({ opened, statement, receipt }: Sides, text: string): readonly Output[] | undefined {
  const element = opened.elements.get("output/0");
  if (element) {
    const committed = parseCanonical(element) as unknown as Output;
    if (committed.kind === "message") return [{ ...committed, content: text }];
    return committed.kind === "text" ? [{ ...committed, text }] : undefined;
  }
  const result = opened.fields.get("result");
  if (result?.kind !== "bytes" || !receipt.holder) return undefined;
  const finish = resultLeafShape.parse(parseCanonical(result.bytes)).finish[0];
  if (finish === undefined) return undefined;
  return statement.endpoint === "/v1/completions"
    ? [{ kind: "text", text, finish }]
    : [{ kind: "message", content: text, tool_calls: [], finish }];
}

/** The demand that the statement records, as leaf `policy` must hold it. */
export const demandOf = (statement: Statement): Omit<Demand, "policy"> & { readonly require: string } => ({
  require: statement.policy.demanded,
  release: statement.policy.release,
  deadline: statement.policy.deadline,
  source: statement.policy.source,
});
