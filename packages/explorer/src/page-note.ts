import { grounds, sha256Hex } from "@countersign/core";
import { isServed } from "./api.ts";
import { fill, h } from "./dom.ts";
import { groundWords } from "./wording.ts";

const script = document.currentScript;

/** SHA-256 in the script's own file name; `npm run build` puts it there. */
const named = script instanceof HTMLScriptElement ? /-([0-9a-f]{64})\.js$/.exec(script.src)?.[1] : undefined;

/** Says what this page can't prove about itself, and how to check without it. */
export function mountPageNote(section: HTMLElement): void {
  const build = h("code", { class: "digest whole", id: "build" }, named ?? "not built: served from source");
  const compared = h("span", { class: "hint" });
  fill(
    section,
    h("h2", { id: "page-title" }, "About this page"),
    h(
      "div",
      { class: "prose" },
      h("h3", {}, "How far to trust it"),
      h(
        "p",
        {},
        h("strong", {}, "A page that the gateway serves isn't independent of it."),
        " Whoever serves the program could serve another one that always says “met”. Use this page to look; when it matters, check without it:",
      ),
      h(
        "pre",
        { tabindex: 0 },
        "countersign verify receipt.json --trust trust.json \\\n  --request request.json --output answer.json",
      ),
      h(
        "p",
        {},
        "The command needs no network. Or save this page's folder, compare the digest below with the one that you built or that somebody you believe published, and open it from your disk.",
      ),
      h("p", {}, "SHA-256 of this page's program: ", build, " ", compared),
    ),
    h(
      "div",
      { class: "prose" },
      h("h3", {}, "What no receipt proves"),
      h(
        "ul",
        {},
        h(
          "li",
          {},
          "That an answer is true, harmless or good. It says where an answer comes from, not whether it is right.",
        ),
        h("li", {}, "That a model is what its name says. A digest names files; who made them is another question."),
        h("li", {}, "That nobody kept a copy, unless the claim “confidential” is proven on hardware."),
        h(
          "li",
          {},
          "That nothing speaks against it, unless refutations were searched; a receipt's holder could have left one out.",
        ),
        h("li", {}, "On the ground “signature”: anything but the operator's word, which can't be changed afterwards."),
      ),
      h("h3", {}, "Whom you believe, by ground"),
      h(
        "dl",
        { class: "statement" },
        grounds.map((ground) => [h("dt", {}, groundWords[ground].title), h("dd", {}, groundWords[ground].believe)]),
      ),
      h(
        "p",
        { class: "hint" },
        "This page loads nothing from other hosts, keeps nothing, sends nothing that you put in, and treats all data as text.",
      ),
    ),
  );
  if (!isServed || named === undefined || !(script instanceof HTMLScriptElement)) return;
  fetch(script.src, { credentials: "omit" })
    .then(async (answer) => sha256Hex(new Uint8Array(await answer.arrayBuffer())))
    .then(
      (digest) =>
        fill(compared, digest === named ? "(hashed again just now: the same)" : `(but the server now gives ${digest})`),
      () => fill(compared, "(could not be hashed again)"),
    );
}
