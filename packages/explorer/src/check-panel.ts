import { endpoints, parseReceipt, readRun, utf8 } from "@countersign/core";
import { type Delivered, verify } from "@countersign/verify";
import { fill, h } from "./dom.ts";
import { viewFault } from "./fault-view.ts";
import { type InputBox, makeInputBox } from "./input-box.ts";
import { recognise } from "./material.ts";
import { viewReport } from "./report-view.ts";
import { makeTrustPanel } from "./trust-panel.ts";
import { viewBanner } from "./verdict-view.ts";

const presets = ["signature", "signature & logged", "audit", "reexecution", "tee", "zkml"];

/** The place where a receipt is checked: inputs, then the verdict with everything that it rests on. */
export function mountCheck(section: HTMLElement): void {
  const verdictBox = h("div", { id: "verdict", tabindex: -1, "aria-live": "polite", "aria-atomic": "true" });
  const reportBox = h("div", { id: "detail" });
  const receipt = makeInputBox({
    id: "receipt",
    label: "Receipt",
    hint: "A receipt, or a whole answer that has one in it. Files can be dropped anywhere: receipt, answer, request and trust file are told apart by their content.",
    rows: 6,
    placeholder: "Drop a receipt here, or paste it.",
    onChange: () => settle(receipt),
  });
  const request = makeInputBox({
    id: "request",
    label: "Request",
    hint: "The body as it was sent, byte for byte.",
    rows: 4,
    onChange: () => settle(request),
  });
  const output = makeInputBox({
    id: "output",
    label: "Answer",
    hint: "As delivered: JSON body, event stream, or its plain text.",
    rows: 4,
    onChange: () => settle(output),
  });
  const boxes: readonly InputBox[] = [receipt, request, output];
  const trust = makeTrustPanel(() => run());
  const path = h(
    "select",
    { id: "path" },
    h("option", { value: "" }, "as the receipt says"),
    Object.keys(endpoints).map((p) => h("option", { value: p }, p)),
  );
  const text = (id: string, most: number, placeholder: string, more = {}) =>
    h("input", { id, type: "text", maxlength: most, placeholder, spellcheck: "false", autocomplete: "off", ...more });
  const nonce = text("nonce", 64, "from the receipt, if it has one");
  const policy = text("policy", 2048, "what the receipt says was demanded", {
    "aria-describedby": "policy-hint",
    list: "presets",
  });

  /** Sorts what was dropped or pasted into its place; what nothing recognises goes to `fallback`. */
  function place(bytes: Uint8Array, fallback: InputBox): void {
    const found = recognise(bytes);
    if (found.kind === "trust") trust.take(bytes);
    else if (found.kind === "request") request.set(found.body);
    else if (found.kind === "other") fallback.set(bytes);
    else receipt.set(typeof found.receipt === "string" ? bytes : utf8(JSON.stringify(found.receipt)));
    if (found.kind === "answer") output.set(found.body);
  }

  /** After an input changed: what was put into the wrong box moves to the right one. */
  function settle(box: InputBox): void {
    const bytes = box.get();
    if (bytes && recognise(bytes).kind !== "other") {
      box.set(new Uint8Array());
      place(bytes, box);
    }
    run();
  }

  function collect(receiptText: string): Delivered {
    const body = request.get();
    const answer = output.get();
    return {
      ...(body && { request: { method: "POST", path: path.value || statedEndpoint(receiptText), body } }),
      ...(answer && { output: readOutput(answer) }),
      ...(nonce.value !== "" && { clientNonce: nonce.value.trim() }),
    };
  }

  function run(): void {
    fill(reportBox);
    const bytes = receipt.get();
    if (!bytes) {
      fill(verdictBox);
      return;
    }
    const receiptText = new TextDecoder().decode(bytes);
    const delivered = collect(receiptText);
    try {
      const verdict = verify({
        receipt: receiptText,
        delivered,
        policy: policy.value.trim() || undefined,
        trust: trust.trust(),
        at: Date.now(),
        allowDevelopment: trust.allowDevelopment(),
      });
      fill(verdictBox, viewBanner(verdict));
      fill(reportBox, viewReport(verdict, receiptText, delivered));
    } catch (error) {
      const body = h("div", { class: "banner-body" }, h("p", { class: "outcome" }, "Not checked"), viewFault(error));
      fill(verdictBox, h("div", { class: "banner unmet", "data-outcome": "error" }, body));
    }
  }

  const reveal = () => verdictBox.scrollIntoView({ block: "nearest" });
  const button = h("button", { type: "button", class: "primary" }, "Check the receipt");
  button.addEventListener("click", () => {
    settle(receipt);
    if (receipt.get()) reveal();
    else receipt.area.focus();
  });
  const clear = h("button", { type: "button", class: "quiet" }, "Clear");
  clear.addEventListener("click", () => {
    for (const box of boxes) box.set(new Uint8Array());
    nonce.value = "";
    run();
    receipt.area.focus();
  });
  for (const input of [path, nonce, policy]) input.addEventListener("change", run);
  acceptDrops(async (files, pasted) => {
    for (const file of files) place(new Uint8Array(await file.arrayBuffer()), output);
    if (files.length === 0 && pasted !== "") place(utf8(pasted), receipt);
    run();
    reveal();
  });

  fill(
    section,
    h("h1", { id: "check-title" }, "Check a receipt"),
    h(
      "p",
      { class: "lead" },
      "See what is proven about an answer, on whose word, and what is not. The check runs in your browser; nothing that you put in is sent anywhere.",
    ),
    receipt.element,
    h("div", { class: "pair" }, request.element, output.element),
    h(
      "p",
      { class: "hint" },
      "Request and answer are optional. Without them nobody can say that they are the ones that the receipt is about, so those claims stay unproven.",
    ),
    h(
      "details",
      { class: "more" },
      h("summary", {}, "Endpoint and nonce"),
      h(
        "div",
        { class: "pair" },
        h("div", { class: "box" }, h("label", { for: "path" }, "Endpoint of the request"), path),
        h("div", { class: "box" }, h("label", { for: "nonce" }, "Client nonce"), nonce),
      ),
    ),
    trust.element,
    h(
      "div",
      { class: "box" },
      h("label", { for: "policy" }, "Policy that you demand"),
      policy,
      h(
        "datalist",
        { id: "presets" },
        presets.map((value) => h("option", { value })),
      ),
      h(
        "p",
        { class: "hint", id: "policy-hint" },
        "For example ",
        h("code", {}, "signature & logged"),
        " or ",
        h("code", {}, "tee | zkml"),
        ". It is taken together with what was bought; the stricter counts. Left empty, the demand is the one that the receipt states.",
      ),
    ),
    h("div", { class: "actions" }, button, clear),
    verdictBox,
    reportBox,
  );
}

/** Takes files and text that are dropped anywhere on the page. */
function acceptDrops(take: (files: readonly File[], text: string) => Promise<void>): void {
  const { body } = document;
  body.addEventListener("dragover", (event) => {
    event.preventDefault();
    body.classList.add("dropping");
  });
  body.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) body.classList.remove("dropping");
  });
  body.addEventListener("drop", (event) => {
    event.preventDefault();
    body.classList.remove("dropping");
    void take(Array.from(event.dataTransfer?.files ?? []), event.dataTransfer?.getData("text") ?? "");
  });
}

/** The endpoint that the statement names; an empty one is no endpoint, and `verify` says so. */
function statedEndpoint(text: string): string {
  try {
    return readRun(parseReceipt(text).statement).predicate.endpoint;
  } catch {
    return "";
  }
}

/** A body when it has the form of one, else the plain text of the first choice. */
function readOutput(bytes: Uint8Array): NonNullable<Delivered["output"]> {
  const text = new TextDecoder().decode(bytes);
  const isBody = /^\s*\{/.test(text) || /^(?::|data:|event:)/m.test(text);
  return isBody ? { body: bytes } : { text };
}
