import type { Entry } from "@countersign/core";
import { type FeedEntry, fetchJson, fetchLogSize, isServed, readFeedEntry, readFeedPage } from "./api.ts";
import { type Band, bands, type Distribution, recount } from "./distribution.ts";
import { fill, h, short } from "./dom.ts";
import { maskNames } from "./wording.ts";

const pageSize = 256;
const mostPages = 16;
const shown = 40;

const kindWords: Readonly<Record<Entry["kind"], string>> = {
  receipt: "Receipt",
  evidence: "Evidence",
  model: "Model",
  node: "Node",
  deployment: "Deployment",
  promptVersion: "Prompt version",
  measurement: "Measurement",
  revocation: "Key revoked",
  refusals: "Refusals",
  refutation: "Refutation",
};

const masks = (list: readonly number[]) =>
  list.length === 0 ? "—" : list.map((m) => maskNames(m).join(" + ") || "none").join(" or ");

function viewEntry({ index, entry }: FeedEntry): HTMLElement {
  const facts: [string, string][] =
    entry.kind === "receipt"
      ? [
          ["demanded", masks(entry.demanded)],
          ["bought", masks([entry.bought])],
          ["delivered", masks([entry.delivered])],
        ]
      : entry.delivered !== 0
        ? [["delivered", masks([entry.delivered])]]
        : [];
  const hour = new Date(entry.hour * 3_600_000).toISOString();
  return h(
    "li",
    { class: `entry kind-${entry.kind}`, "data-index": index },
    h(
      "p",
      { class: "entry-head" },
      h("span", { class: "entry-kind" }, kindWords[entry.kind]),
      h("span", { class: "entry-index" }, `#${index}`),
      h("time", { datetime: hour, title: "Entries name the hour only" }, `${hour.slice(0, 13).replace("T", " ")}h UTC`),
    ),
    h(
      "p",
      { class: "entry-line" },
      h("span", {}, "subject "),
      short(entry.subject),
      !/^0+$/.test(entry.model) && [h("span", {}, " model "), short(entry.model)],
    ),
    facts.length > 0 &&
      h(
        "dl",
        { class: "masks" },
        facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
      ),
    entry.flags.length > 0 &&
      h(
        "ul",
        { class: "flags", "aria-label": "Flags" },
        entry.flags.map((flag) => h("li", { class: `tag ${flag}` }, flag)),
      ),
  );
}

function viewBar(title: string, note: string, counts: Readonly<Record<Band, number>>, total: number): HTMLElement {
  const used = bands.filter((band) => counts[band] > 0);
  const percent = (band: Band) => (total === 0 ? 0 : Math.round((1000 * counts[band]) / total) / 10);
  const label = used.map((band) => `${band} ${percent(band)} %`).join(", ") || "nothing yet";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 1000 26");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${label}`);
  let at = 0;
  for (const band of used) {
    const width = (1000 * counts[band]) / total;
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ x: at, y: 0, width: Math.max(width - 2, 1), height: 26 }))
      rect.setAttribute(name, String(value));
    rect.setAttribute("class", `band ${band}`);
    svg.append(rect);
    at += width;
  }
  return h(
    "div",
    { class: "bar" },
    h("p", { class: "bar-title" }, h("strong", {}, title), " ", h("span", { class: "hint" }, note)),
    svg,
    h(
      "ul",
      { class: "legend" },
      used.map((band) =>
        h("li", { class: `key ${band}` }, `${band} `, h("span", {}, `${counts[band]} · ${percent(band)} %`)),
      ),
    ),
  );
}

function viewDistribution(d: Distribution, fetched: number, size: number): HTMLElement {
  const missing = size > fetched ? ` The log has ${size}; the older ones are not in this count.` : "";
  return h(
    "div",
    {},
    viewBar("Demanded", "the weakest way that would do", d.demanded, d.receipts),
    viewBar("Bought", "the offer's guarantee", d.bought, d.receipts),
    viewBar("Delivered", "the issuers' claim; nobody here checked it", d.delivered, d.receipts),
    h(
      "p",
      { class: "hint" },
      `Counted in this page from ${fetched} entries: ${d.receipts} receipts, ${d.synthetic} synthetic ones left out.${missing}`,
      d.development > 0 && ` ${d.development} of the receipts carry the development flag: they prove nothing outside.`,
    ),
  );
}

/** The public log as it grows, and the levels recounted from what was fetched. */
export function mountFeed(section: HTMLElement): void {
  const entries = new Map<number, Entry>();
  let size = 0;
  const state = h("p", { class: "feed-state", role: "status" });
  const list = h("ol", { class: "feed", "aria-label": "Newest entries first" });
  const bars = h("div", { class: "bars" });
  fill(
    section,
    h("h2", { id: "log-title" }, "The public log"),
    h(
      "p",
      { class: "hint" },
      "Each answer leaves one entry. It holds no prompt and no answer, only a salted root and what level was demanded, bought and delivered.",
    ),
    state,
    h("h3", {}, "Levels"),
    bars,
    h("h3", {}, "Newest entries"),
    list,
  );
  const say = (kind: string, text: string) => fill(state, h("span", { class: `dot ${kind}` }), text);
  const draw = () => {
    const newest = [...entries.keys()].sort((a, b) => b - a).slice(0, shown);
    fill(
      list,
      newest.map((index) => viewEntry({ index, entry: entries.get(index) as Entry })),
    );
    if (newest.length === 0) fill(list, h("li", { class: "hint" }, "No entries yet."));
    fill(bars, viewDistribution(recount(entries.values()), entries.size, size));
  };
  draw();
  if (!isServed) {
    say("off", "No gateway serves this page, so there is no live feed here. Checking receipts works all the same.");
    return;
  }

  const take = (found: readonly FeedEntry[]) => {
    for (const { index, entry } of found) {
      entries.set(index, entry);
      size = Math.max(size, index + 1);
    }
  };
  const load = async () => {
    size = await fetchLogSize();
    const from = Math.max(0, size - pageSize * mostPages);
    for (let at = from; at < size; at += pageSize)
      take(readFeedPage(await fetchJson(`v1/log/entries?from=${at}&count=${Math.min(pageSize, size - at)}`)));
    draw();
  };
  load().then(
    () => listen(),
    (error: unknown) => say("bad", `The log can't be read: ${error instanceof Error ? error.message : "no answer"}.`),
  );

  function listen(): void {
    const events = new EventSource(`v1/log/events?from=${size}`);
    events.onopen = () =>
      say(
        "live",
        `Live: ${size} entries. What the gateway shows here isn't checked against witnesses; the receipts' own proofs are.`,
      );
    events.onerror = () => say("bad", "The live feed is interrupted; trying again.");
    const read = (event: MessageEvent<string>) => {
      let value: unknown;
      try {
        value = JSON.parse(event.data);
      } catch {
        return;
      }
      const found = readFeedEntry(value);
      if (!found) return;
      take([found]);
      draw();
      say(
        "live",
        `Live: ${size} entries. What the gateway shows here isn't checked against witnesses; the receipts' own proofs are.`,
      );
    };
    events.onmessage = read;
    events.addEventListener("entry", read as (event: Event) => void);
  }
}
