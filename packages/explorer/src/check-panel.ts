import {
  CountersignError,
  endpoints,
  type Json,
  noTrust,
  parseReceipt,
  parseTrust,
  readRun,
  type Trust,
  utf8,
  type Verdict,
} from "@countersign/core";
import { disclose, verify } from "@countersign/verify";
import { fetchJson, isServed } from "./api.ts";
import { byId, type Child, fill, h } from "./dom.ts";
import { recognise } from "./material.ts";
import { viewReceipt } from "./receipt-view.ts";
import { viewBalance, viewBanner, viewChecks, viewClaims, viewPolicy } from "./verdict-view.ts";

/** Exact bytes: a text field would change line ends, so a file's bytes are kept until somebody edits the text. */
type Held = { readonly bytes: Uint8Array; readonly shown: string };

const holdText = (text: string): Held | undefined => (text === "" ? undefined : { bytes: utf8(text), shown: text });

/** One input that takes a file or text. */
function inputBox(id: string, label: string, hint: string, rows: number, onChange: () => void, placeholder = "") {
  const area = h("textarea", { id, rows, spellcheck: "false", autocomplete: "off", placeholder, "aria-describedby": `${id}-hint` });
  const file = h("input", { type: "file", id: `${id}-file`, class: "file", tabindex: -1, "aria-label": `${label}: file` });
  const choose = h("button", { type: "button", class: "small" }, "Choose a file");
  choose.addEventListener("click", () => file.click());
  const note = h("p", { class: "hint", id: `${id}-hint` }, hint);
  let held: Held | undefined;
  const set = (bytes: Uint8Array) => {
    area.value = new TextDecoder().decode(bytes);
    held = { bytes, shown: area.value };
  };
  area.addEventListener("input", () => {
    held = undefined;
  });
  area.addEventListener("change", onChange);
  file.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    set(new Uint8Array(await chosen.arrayBuffer()));
    file.value = "";
    onChange();
  });
  return {
    element: h(
      "div",
      { class: "box" },
      h("div", { class: "box-head" }, h("label", { for: id }, label), choose, file),
      area,
      note,
    ),
    area,
    set,
    get: (): Uint8Array | undefined => (held && held.shown === area.value ? held : holdText(area.value))?.bytes,
    clear: () => {
      area.value = "";
      held = undefined;
    },
  };
}

const message = (error: unknown): Child => {
  if (!CountersignError.is(error)) return error instanceof Error ? error.message : "Something failed.";
  const { why, remedy } = error.detail;
  return [
    h("p", {}, h("strong", {}, error.detail.message), " ", h("code", { class: "code" }, error.code)),
    why && h("p", { class: "reason" }, why),
    remedy && h("p", { class: "reason" }, remedy),
  ];
};

function saveFile(name: string, content: string): void {
  const link = h("a", { download: name });
  link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

/** The place where a receipt is checked: inputs, then the verdict with everything that it rests on. */
export function mountCheck(section: HTMLElement): void {
  let trust: Trust = noTrust;
  let ran = false;

  const verdictBox = h("div", { id: "verdict", "aria-live": "polite", "aria-atomic": "true" });
  const detailBox = h("div", { id: "detail" });
  const trustBox = h("div", { id: "trust-state" });

  const receipt = inputBox(
    "receipt",
    "Receipt",
    "A receipt, or a whole answer that has one in it. You can also drop files anywhere on this page: receipt, answer, request and trust file are told apart by their content.",
    6,
    () => settle(receipt),
  );
  const output = inputBox(
    "output",
    "Answer",
    "The answer as it was delivered: JSON body, event stream, or its plain text.",
    4,
    () => settle(output),
  );
  const request = inputBox(
    "request",
    "Request",
    "The request body as it was sent, byte for byte. A file keeps its bytes exactly.",
    4,
    () => settle(request),
  );
  const trustText = inputBox(
    "trust",
    "Trust file",
    "countersign/trust/v1: whose keys, logs, witnesses and roots you accept. Get it from somebody you believe, not from this page.",
    4,
    () => takeTrust(),
  );
  const path = h(
    "select",
    { id: "path" },
    h("option", { value: "" }, "as the receipt says"),
    Object.keys(endpoints).map((p) => h("option", { value: p }, p)),
  );
  const nonce = h("input", {
    id: "nonce",
    type: "text",
    spellcheck: "false",
    autocomplete: "off",
    maxlength: 64,
    placeholder: "from the receipt, if it has one",
  });
  const policy = h("input", {
    id: "policy",
    type: "text",
    spellcheck: "false",
    autocomplete: "off",
    maxlength: 2048,
    placeholder: "what the receipt says was demanded",
    "aria-describedby": "policy-hint",
  });
  const development = h("input", { id: "development", type: "checkbox", "aria-describedby": "development-hint" });

  /** Sorts what was dropped or pasted into its place. */
  function place(bytes: Uint8Array, fallback: typeof receipt): void {
    const found = recognise(bytes);
    if (found.kind === "receipt")
      receipt.set(typeof found.receipt === "string" ? bytes : utf8(JSON.stringify(found.receipt)));
    else if (found.kind === "answer") {
      receipt.set(utf8(JSON.stringify(found.receipt)));
      output.set(found.body);
    } else if (found.kind === "request") {
      request.set(found.body);
    } else if (found.kind === "trust") {
      trustText.set(bytes);
      takeTrust();
    } else fallback.set(bytes);
  }

  /** After an input changed: what was put into the wrong box moves to the right one. */
  function settle(box: typeof receipt): void {
    const bytes = box.get();
    if (bytes && recognise(bytes).kind !== "other") {
      box.clear();
      place(bytes, box);
    }
    run();
  }

  function takeTrust(): void {
    const bytes = trustText.get();
    try {
      trust = bytes ? parseTrust(new TextDecoder().decode(bytes)) : noTrust;
      showTrust();
    } catch (error) {
      // A file that can't be read must not leave the last one in force.
      trust = noTrust;
      fill(
        trustBox,
        h("div", { class: "note bad", role: "alert" }, message(error), h("p", {}, "Until then: nobody is believed.")),
      );
    }
    if (ran) run();
  }

  function showTrust(): void {
    const names = (list: readonly { readonly name: string }[]) => list.map((k) => k.name).join(", ") || "nobody";
    fill(
      trustBox,
      trust === noTrust
        ? h(
            "p",
            { class: "note" },
            h("strong", {}, "You believe nobody yet."),
            " Without a trust file everything stays unproven. That is the right default: a receipt can't say whom you should believe.",
          )
        : h(
            "div",
            { class: `note ${trust.development ? "development" : "good"}` },
            h(
              "p",
              {},
              h("strong", {}, trust.name),
              trust.development ? " — development stand-ins" : "",
              ` on ${trust.network}`,
            ),
            h(
              "p",
              { class: "reason" },
              `Registrars: ${names(trust.registrars)}. Logs: ${trust.logs.length}. Monitors: ${trust.monitors.quorum} of ${names(trust.monitors.keys)}. Auditors: ${names(trust.auditors.keys)}.`,
            ),
            trust.development &&
              h(
                "p",
                { class: "reason" },
                "Whoever runs this network made these keys. To let them count, also allow development trust below.",
              ),
          ),
    );
  }

  function run(): void {
    const bytes = receipt.get();
    if (!bytes) {
      fill(verdictBox);
      fill(detailBox);
      return;
    }
    ran = true;
    const text = new TextDecoder().decode(bytes);
    const requestBytes = request.get();
    const outputBytes = output.get();
    try {
      const verdict = verify({
        receipt: text,
        delivered: {
          ...(requestBytes && {
            request: { method: "POST", path: path.value || statedEndpoint(text), body: requestBytes },
          }),
          ...(outputBytes && { output: deliveredOutput(outputBytes) }),
          ...(nonce.value !== "" && { clientNonce: nonce.value }),
        },
        policy: policy.value.trim() === "" ? undefined : policy.value.trim(),
        trust,
        at: Date.now(),
        allowDevelopment: development.checked,
      });
      show(verdict, text);
    } catch (error) {
      fill(detailBox);
      fill(
        verdictBox,
        h(
          "div",
          { class: "banner unmet", "data-outcome": "error" },
          h("div", { class: "banner-body" }, h("p", { class: "outcome" }, "Not checked"), message(error)),
        ),
      );
    }
  }

  function show(verdict: Verdict, text: string): void {
    fill(verdictBox, viewBanner(verdict));
    fill(
      detailBox,
      viewHolder(text),
      part(
        "claims-title",
        "What is proven, and what is not",
        viewBalance(verdict.findings),
        h("details", { open: true }, h("summary", {}, "Each claim and its ground"), viewClaims(verdict.findings)),
      ),
      part("policy-title", "Requested, bought, judged", viewPolicy(verdict)),
      part(
        "checks-title",
        checksTitle(verdict),
        h(
          "details",
          { open: verdict.checks.some((c) => c.status === "failed") },
          h("summary", {}, "Each check"),
          viewChecks(verdict.checks),
        ),
      ),
      part(
        "receipt-title",
        "What the receipt says",
        h("p", { class: "hint" }, "As the issuer states it. Only the claims above say which of it is proven."),
        viewReceipt(text),
      ),
    );
  }

  const button = h("button", { type: "button", class: "primary" }, "Check the receipt");
  button.addEventListener("click", () => {
    settle(receipt);
    if (!receipt.get()) receipt.area.focus();
  });
  const clear = h("button", { type: "button", class: "quiet" }, "Clear");
  clear.addEventListener("click", () => {
    for (const box of [receipt, output, request]) box.clear();
    nonce.value = "";
    run();
    receipt.area.focus();
  });
  for (const input of [path, nonce, policy, development]) input.addEventListener("change", () => ran && run());

  const devTrust = h(
    "button",
    { type: "button", id: "use-dev-trust", class: "secondary development", hidden: true },
    "Use this network's development trust",
  );
  devTrust.addEventListener("click", async () => {
    try {
      trustText.set(utf8(JSON.stringify((await fetchJson("trust.dev.json")) as Json, null, 2)));
      takeTrust();
    } catch (error) {
      fill(trustBox, h("p", { class: "note bad", role: "alert" }, message(error)));
    }
  });
  if (isServed) {
    // Asked for its existence only: nothing is taken from it before the click.
    fetch("trust.dev.json", { method: "HEAD", credentials: "omit" }).then(
      (answer) => {
        devTrust.hidden = !answer.ok;
      },
      () => undefined,
    );
  }

  fill(
    section,
    h("h1", { id: "check-title" }, "Check a receipt"),
    h(
      "p",
      { class: "lead" },
      "Put in a receipt and see what is proven about an answer, on whose word, and what is not. The check runs in your browser; nothing you put in here is sent anywhere.",
    ),
    receipt.element,
    h("div", { class: "pair" }, request.element, output.element),
    h(
      "p",
      { class: "hint" },
      "Request and answer are optional, but without them nobody can say that they are the ones that the receipt is about: those claims then stay unproven.",
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
    h(
      "fieldset",
      {},
      h("legend", {}, "Whom you believe"),
      trustBox,
      h("details", { class: "more" }, h("summary", {}, "Put in a trust file"), trustText.element),
      devTrust,
      h("label", { class: "switch", for: "development" }, development, h("span", {}, "Allow development trust")),
      h(
        "p",
        { class: "hint", id: "development-hint" },
        "Off by default. Development networks use throw-away keys, a local chain and simulated hardware: real formats, no real ground. Allow them only to try things out.",
      ),
    ),
    h(
      "div",
      { class: "box" },
      h("label", { for: "policy" }, "Policy that you demand"),
      policy,
      h(
        "p",
        { class: "hint", id: "policy-hint" },
        "For example ",
        h("code", {}, "signature & logged"),
        " or ",
        h("code", {}, "tee | zkml"),
        ". It is taken together with what was bought; the stricter counts. Left empty, what the receipt says was demanded is used, and that is the issuer's word.",
      ),
    ),
    h("div", { class: "actions" }, button, clear),
    verdictBox,
    detailBox,
  );
  showTrust();

  const body = document.body;
  body.addEventListener("dragover", (event) => {
    event.preventDefault();
    body.classList.add("dropping");
  });
  body.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) body.classList.remove("dropping");
  });
  body.addEventListener("drop", async (event) => {
    event.preventDefault();
    body.classList.remove("dropping");
    const files = Array.from(event.dataTransfer?.files ?? []);
    const dropped = event.dataTransfer?.getData("text") ?? "";
    for (const file of files) place(new Uint8Array(await file.arrayBuffer()), output);
    if (files.length === 0 && dropped !== "") place(utf8(dropped), receipt);
    run();
    byId("verdict").scrollIntoView({ block: "nearest" });
  });
}

const part = (id: string, title: string, ...children: readonly Child[]) =>
  h("section", { class: "part", "aria-labelledby": id }, h("h3", { id }, title), ...children);

/** The endpoint that the statement names; an empty one is no endpoint and says so. */
function statedEndpoint(text: string): string {
  try {
    return readRun(parseReceipt(text).statement).predicate.endpoint;
  } catch {
    return "";
  }
}

const checksTitle = ({ checks }: Verdict): string => {
  const count = (status: string) => checks.filter((c) => c.status === status).length;
  return `Checks: ${count("passed")} passed, ${count("failed")} failed, ${count("not-run")} not run`;
};

/** Plain text or a body: what parses as an answer's form is one. */
function deliveredOutput(bytes: Uint8Array): { readonly body: Uint8Array } | { readonly text: string } {
  const text = new TextDecoder().decode(bytes);
  const isBody = /^\s*\{/.test(text) || /^(?::|data:|event:)/m.test(text);
  return isBody ? { body: bytes } : { text };
}

/** A warning when the receipt is the holder's own copy, and a way to make one that can be handed on. */
function viewHolder(text: string): Child {
  try {
    const receipt = parseReceipt(text);
    if (receipt.holder === null) return null;
    const save = h("button", { type: "button", class: "secondary" }, "Save a copy to hand on");
    save.addEventListener("click", () =>
      saveFile("receipt.public.json", `${JSON.stringify(disclose(receipt, []), null, 2)}\n`),
    );
    return h(
      "div",
      { class: "note warn" },
      h(
        "p",
        {},
        h("strong", {}, "This is your own copy."),
        " It holds the secret that opens every field of your request and answer. It stays in this page; hand on a copy without it.",
      ),
      save,
    );
  } catch {
    return null;
  }
}
