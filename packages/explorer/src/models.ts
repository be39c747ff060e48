import { describePolicy, parsePolicy } from "@countersign/core";
import { fetchJson, isServed, type ModelRow, readModels } from "./api.ts";
import { fill, h, short } from "./dom.ts";

const priceWords: Readonly<Record<string, string>> = {
  base: "per call",
  perInputKiB: "per KiB in",
  perOutputToken: "per token out",
};

/** Six decimals, as the network's dollar token counts. */
function amount(units: string): string {
  if (!/^\d{1,30}$/.test(units)) return units;
  const padded = units.padStart(7, "0");
  const fraction = padded.slice(-6).replace(/0+$/, "");
  return `$${padded.slice(0, -6)}${fraction ? `.${fraction}` : ""}`;
}

const level = (text: string): string => {
  try {
    return describePolicy(parsePolicy(text));
  } catch {
    return text;
  }
};

function viewPrice(price: ModelRow["price"]) {
  const parts = Object.entries(price).filter(([, units]) => units !== "0");
  if (Object.keys(price).length === 0) return "not said";
  return parts.length === 0
    ? "free"
    : parts.map(([name, units]) => `${amount(units)} ${priceWords[name] ?? name}`).join(" + ");
}

function viewModel(model: ModelRow): HTMLElement {
  return h(
    "li",
    { class: "model" },
    h("h3", {}, model.id),
    h(
      "ul",
      { class: "flags" },
      [...new Set(model.levels)].map((text) => h("li", { class: "tag good" }, level(text))),
      model.labels.map((l) => h("li", { class: `tag ${l}` }, l)),
    ),
    h(
      "dl",
      {},
      h("dt", {}, "Does"),
      h("dd", {}, model.tasks.join(", ") || "not said"),
      model.guarantees.length > 0 && [
        h("dt", {}, "Offers"),
        h(
          "dd",
          {},
          model.guarantees.map((g) => h("p", {}, g)),
        ),
      ],
      h("dt", {}, "Price"),
      h("dd", {}, viewPrice(model.price)),
      h("dt", {}, "Digest"),
      h("dd", {}, model.digest ? short(model.digest, 16) : "none: nobody can say which weights these are"),
      h("dt", {}, "Deployment"),
      h("dd", {}, model.deployment ?? "not said"),
      model.scope === "origin" && [h("dt", {}, "Scope"), h("dd", {}, "origin: relays another host")],
      model.about.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
  );
}

/** The models that the gateway offers, with digests, levels and prices. */
export function mountModels(section: HTMLElement): void {
  const list = h("ul", { class: "models" });
  fill(
    section,
    h("h2", { id: "models-title" }, "Models"),
    h(
      "p",
      { class: "hint" },
      "What this gateway offers. A digest names the exact files, not who made them; a level is an offer until a receipt proves it.",
    ),
    list,
  );
  if (!isServed) {
    fill(list, h("li", { class: "hint" }, "No gateway serves this page."));
    return;
  }
  fetchJson("v1/models").then(
    (value) => {
      const models = readModels(value);
      fill(
        list,
        models.length > 0 ? models.map(viewModel) : h("li", { class: "hint" }, "No models are offered at the moment."),
      );
    },
    (error: unknown) =>
      fill(
        list,
        h(
          "li",
          { class: "hint" },
          `The models can't be read: ${error instanceof Error ? error.message : "no answer"}.`,
        ),
      ),
  );
}
