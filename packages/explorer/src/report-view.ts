import { parseReceipt, type Verdict } from "@countersign/core";
import { completeReceipt, type Delivered, disclose } from "@countersign/verify";
import { type Child, h } from "./dom.ts";
import { viewReceipt } from "./receipt-view.ts";
import { viewBalance, viewChecks, viewClaims, viewPolicy } from "./verdict-view.ts";

const part = (id: string, title: string, ...children: readonly Child[]) =>
  h("section", { class: "part", "aria-labelledby": id }, h("h3", { id }, title), ...children);

const checksTitle = ({ checks }: Verdict): string => {
  const count = (status: string) => checks.filter((c) => c.status === status).length;
  return `Checks: ${count("passed")} passed, ${count("failed")} failed, ${count("not-run")} not run`;
};

function saveFile(name: string, content: string): void {
  const link = h("a", { download: name });
  link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A warning when the receipt is the holder's own copy, and a way to make one that can be handed on. */
function viewHolder(text: string): Child {
  try {
    const receipt = parseReceipt(text);
    if (receipt.holder === null) return null;
    const save = h("button", { type: "button" }, "Save a copy to hand on");
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
        " It holds the secret that opens your request and answer. It stays in this page; hand on a copy without it.",
      ),
      save,
    );
  } catch {
    return null;
  }
}

/** The receipt with what the holder's secret and the content at hand open; as it is when it can't be read. */
function complete(text: string, delivered: Delivered): unknown {
  try {
    return completeReceipt(parseReceipt(text), delivered);
  } catch {
    return text;
  }
}

/** Everything that a verdict rests on, in the order in which a reader asks. */
export function viewReport(verdict: Verdict, text: string, delivered: Delivered): Child {
  const failed = verdict.checks.some((c) => c.status === "failed");
  return [
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
      h("details", { open: failed }, h("summary", {}, "Each check"), viewChecks(verdict.checks)),
    ),
    part(
      "receipt-title",
      "What the receipt says",
      h("p", { class: "hint" }, "As the issuer states it. Only the claims above say which of it is proven."),
      viewReceipt(complete(text, delivered)),
    ),
  ];
}
