import {
  CountersignError,
  type Field,
  type FieldValue,
  fields,
  fromUtf8,
  type Opened,
  openFields,
  parseReceipt,
  type Receipt,
  readRun,
  type Statement,
  toHex,
} from "@countersign/core";
import { type Child, h, short, time } from "./dom.ts";
import { fieldWords } from "./wording.ts";

const longest = 20_000;

/** What a reader came for; the rest opens on request. */
const inFirstSight: ReadonlySet<Field> = new Set(["system", "messages", "output"]);

function viewBytes(bytes: Uint8Array): HTMLElement {
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch {
    text = `${toHex(bytes.subarray(0, 256))}${bytes.length > 256 ? "…" : ""} (${bytes.length} bytes, not text)`;
  }
  if (bytes.length === 0) return h("p", { class: "hint" }, "Opened: empty.");
  const cut = text.length > longest;
  return h(
    "div",
    {},
    h("pre", { tabindex: 0 }, cut ? text.slice(0, longest) : text),
    cut && h("p", { class: "hint" }, `The first ${longest} of ${text.length} characters.`),
  );
}

/** A language model's answer takes two places, its text and its tokens (core `outputElements`). */
const elementName = (field: Field, i: number, count: number): string =>
  field === "output" && count % 2 === 0 ? `Element ${i}: ${i % 2 === 0 ? "an answer" : "its tokens"}` : `Element ${i}`;

function viewElements(field: Field, count: number, opened: Opened): Child {
  const parts: Child[] = [];
  let closed = 0;
  for (let i = 0; i < count; i++) {
    const bytes = opened.elements.get(`${field}/${i}`);
    if (bytes === undefined) closed++;
    else parts.push(h("p", { class: "hint" }, elementName(field, i, count)), viewBytes(bytes));
  }
  const rest = closed === 0 ? "" : parts.length === 0 ? "; all of them closed" : `; ${closed} of them closed`;
  return [h("p", { class: "hint" }, `A list of ${count}${rest}.`), parts];
}

const stateOf = (value: FieldValue | undefined, field: Field, opened: Opened): string => {
  if (value === undefined) return "closed";
  if (value.kind === "absent") return "absent";
  if (value.kind === "bytes") return "open";
  const open = value.leaves.filter((_, i) => opened.elements.has(`${field}/${i}`)).length;
  return open === value.leaves.length ? "open" : open > 0 ? "partly open" : "list only";
};

/** The sixteen committed fields: opened ones with their content, the others as what they are, closed. */
function viewFields(opened: Opened): HTMLElement {
  return h(
    "ul",
    { class: "fields" },
    fields.map((field) => {
      const value = opened.fields.get(field);
      const state = stateOf(value, field, opened);
      const head: Child = [
        h("span", { class: "field-name" }, fieldWords[field]),
        h("span", { class: `tag ${state === "open" ? "good" : ""}` }, state),
      ];
      if (value === undefined || value.kind === "absent") {
        return h(
          "li",
          { class: "field closed" },
          head,
          h(
            "p",
            { class: "hint" },
            value ? "Committed as absent: there was none." : "Committed, but not shown to you.",
          ),
        );
      }
      const content =
        value.kind === "bytes" ? viewBytes(value.bytes) : viewElements(field, value.leaves.length, opened);
      return h(
        "li",
        { class: "field" },
        h("details", { open: inFirstSight.has(field) }, h("summary", {}, head), content),
      );
    }),
  );
}

const row = (name: string, ...value: readonly Child[]) => [h("dt", {}, name), h("dd", {}, ...value)];

function viewStatement(statement: Statement, root: string): HTMLElement {
  return h(
    "dl",
    { class: "statement" },
    row("Receipt root", h("code", { class: "digest whole" }, root)),
    row("Model", statement.model.id, " ", short(statement.model.digest)),
    row("Deployment", `${statement.deployment.id}, version ${statement.deployment.version}`),
    row(
      "Scope",
      statement.scope === "origin"
        ? "origin: another host's answer was relayed; nothing is said about the model behind it"
        : "inference: the issuer says that it ran the weights",
    ),
    row("Issuer key", short(statement.issuer)),
    row("Issued", time(statement.issuedAt), " (the issuer's word)"),
    row("Network", statement.network),
    row("Log", statement.log),
    row("Rewrites", statement.rewrites.length > 0 ? statement.rewrites.join(", ") : "none declared"),
    row(
      "Nonce",
      statement.nonceSource === "client"
        ? "drawn by the client"
        : "drawn by the gateway: it could have tried several seeds",
    ),
    row("Outcome", statement.outcome === "aborted" ? "aborted before a full answer" : "complete"),
    row("Labels", statement.labels.length > 0 ? statement.labels.join(", ") : "none"),
  );
}

/** What the receipt holds, as the issuer states it; which of it is proven stands above. */
export function viewReceipt(input: unknown): Child {
  let receipt: Receipt;
  try {
    receipt = parseReceipt(input);
  } catch (error) {
    return h(
      "p",
      { class: "reason" },
      CountersignError.is(error) ? error.detail.message : "The receipt can't be read.",
    );
  }
  const parts: Child[] = [];
  try {
    const { subject, predicate } = readRun(receipt.statement);
    parts.push(viewStatement(predicate, subject));
  } catch (error) {
    parts.push(h("p", { class: "reason" }, CountersignError.is(error) ? error.detail.message : "No statement."));
  }
  try {
    parts.push(h("h4", {}, "Fields"), viewFields(openFields(receipt)));
  } catch (error) {
    const why = CountersignError.is(error) ? error.detail.message : "The openings can't be read.";
    parts.push(h("p", { class: "reason" }, why, " None of the openings is shown."));
  }
  return parts;
}
