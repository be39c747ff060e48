import {
  type Check,
  claims,
  describePolicy,
  type Finding,
  parsePolicy,
  type Standing,
  type Verdict,
} from "@countersign/core";
import { type Child, h, time } from "./dom.ts";
import { checkWords, claimWords, groundWords, outcomeWords, statusWords, unmetWords } from "./wording.ts";

const chip = (kind: string, ...children: readonly Child[]) => h("li", { class: `chip ${kind}` }, ...children);

/** The verdict in one look: the word, the sentence, and what limits it. */
export function viewBanner(verdict: Verdict): HTMLElement {
  const { title, means } = outcomeWords[verdict.outcome];
  return h(
    "div",
    { class: `banner ${verdict.outcome}${verdict.development ? " stand-in" : ""}`, "data-outcome": verdict.outcome },
    verdict.development &&
      h(
        "p",
        { class: "tape" },
        h("strong", {}, "Development"),
        " Stand-ins ground this verdict: a local chain, simulated hardware or throw-away keys. It says nothing about the real world.",
      ),
    h(
      "div",
      { class: "banner-body" },
      h("p", { class: "outcome", id: "outcome" }, title),
      h("p", { class: "summary" }, verdict.summary),
      h("p", { class: "means" }, means),
      h(
        "ul",
        { class: "chips", "aria-label": "Limits of this verdict" },
        verdict.final
          ? chip(verdict.outcome === "met" ? "good" : "", "Final")
          : chip("", "Not final: what may still come can change it"),
        verdict.searchedThrough === null
          ? chip("warn", "Refutations not searched")
          : chip("", "Refutations searched through ", time(verdict.searchedThrough)),
        verdict.disputed && chip("warn", "Disputed by one auditor"),
        verdict.outcome === "pending" && verdict.until !== null && chip("", "Until ", time(verdict.until * 1000)),
        verdict.unmet && chip("", unmetWords[verdict.unmet]),
        chip("", "Judged as of ", time(verdict.at)),
      ),
      verdict.receiptRoot !== null &&
        h("p", { class: "root" }, "Receipt root ", h("code", { class: "digest whole" }, verdict.receiptRoot)),
    ),
  );
}

const order = { refuted: 0, proven: 1, unproven: 2 } as const;

const viewFinding = (finding: Finding) =>
  h(
    "li",
    { class: `finding ${finding.status}` },
    h("span", { class: "status" }, statusWords[finding.status]),
    h(
      "div",
      {},
      h(
        "p",
        {},
        h("span", { class: "ground" }, `on ${groundWords[finding.ground].title}`),
        finding.status === "proven" && h("span", { class: "believe" }, `: ${groundWords[finding.ground].believe}`),
        finding.development && finding.status !== "unproven" && h("span", { class: "tag development" }, "development"),
        finding.standing && h("span", { class: "tag" }, `stands by ${finding.standing}`),
      ),
      h("p", { class: "reason" }, finding.reason, finding.code && h("code", { class: "code" }, finding.code)),
      finding.pendingUntil !== undefined &&
        h("p", { class: "reason" }, "Evidence may come until ", time(finding.pendingUntil * 1000), "."),
      Object.keys(finding.facts).length > 0 &&
        h(
          "ul",
          { class: "facts", "aria-label": "Facts" },
          Object.entries(finding.facts).map(([name, value]) => h("li", {}, h("span", {}, name), " ", value)),
        ),
    ),
  );

/** Every claim, its grounds and why; claims that nothing speaks to are listed as such. */
export function viewClaims(findings: readonly Finding[]): HTMLElement {
  const groups = claims
    .map((claim) => ({
      claim,
      list: findings.filter((f) => f.claim === claim).toSorted((a, b) => order[a.status] - order[b.status]),
    }))
    .toSorted((a, b) => order[a.list[0]?.status ?? "unproven"] - order[b.list[0]?.status ?? "unproven"]);
  return h(
    "div",
    { class: "claims" },
    groups.map(({ claim, list }) =>
      h(
        "article",
        { class: `claim ${list[0]?.status ?? "unproven"}` },
        h("header", {}, h("h4", {}, claimWords[claim].title), h("p", {}, claimWords[claim].question)),
        h(
          "ul",
          { class: "findings" },
          list.length > 0
            ? list.map(viewFinding)
            : h(
                "li",
                { class: "finding unproven" },
                h("span", { class: "status" }, statusWords.unproven),
                h("p", { class: "reason" }, "Nothing in this receipt speaks to it."),
              ),
        ),
      ),
    ),
  );
}

/** One plain sentence each for what is proven and what is not, at the same size. */
export function viewBalance(findings: readonly Finding[]): HTMLElement {
  const has = (status: Finding["status"]) =>
    claims.filter((c) => findings.some((f) => f.claim === c && f.status === status));
  const refuted = has("refuted");
  const proven = has("proven").filter((c) => !refuted.includes(c));
  const open = claims.filter((c) => !proven.includes(c) && !refuted.includes(c));
  const list = (title: string, kind: string, names: readonly (typeof claims)[number][], none: string) =>
    h(
      "div",
      { class: `side ${kind}` },
      h("h4", {}, `${title} (${names.length})`),
      names.length > 0
        ? h(
            "ul",
            {},
            names.map((c) => h("li", {}, h("strong", {}, claimWords[c].title), " ", claimWords[c].question)),
          )
        : h("p", {}, none),
    );
  return h(
    "div",
    { class: "balance" },
    refuted.length > 0 && list("Refuted", "refuted", refuted, ""),
    list("Proven", "proven", proven, "Nothing."),
    list("Not proven", "unproven", open, "Nothing is left open."),
  );
}

const policyCard = (title: string, note: string, text: string) => {
  let name: string | undefined;
  try {
    name = describePolicy(parsePolicy(text));
  } catch {
    name = undefined;
  }
  return h(
    "div",
    { class: "policy" },
    h("h4", {}, title),
    h("p", { class: "hint" }, note),
    name !== undefined && name !== text && h("p", { class: "policy-name" }, name),
    h("code", { class: "policy-text" }, text || "—"),
  );
};

/** What was asked for, what was bought and what the verdict judged, side by side. */
export function viewPolicy({ policy, requirements }: Verdict): HTMLElement {
  return h(
    "div",
    {},
    h(
      "div",
      { class: "policies" },
      policyCard("Requested", "demanded by you or by the caller", policy.demanded),
      policyCard("Bought", "what the accepted offer guarantees", policy.bought),
      policyCard("Judged", "both together: the stricter counts", policy.judged),
    ),
    requirements.length > 0 &&
      h(
        "ul",
        { class: "standings", "aria-label": "Demands one by one" },
        requirements.map(({ requirement, state, reason }: Standing) =>
          h(
            "li",
            { class: `standing ${state}` },
            h("span", { class: "status" }, outcomeWords[state].title),
            h(
              "div",
              {},
              h("code", {}, `${requirement.claim}:${requirement.ground}`),
              Object.entries(requirement.facts).map(([k, v]) => h("code", { class: "code" }, `${k}=${v}`)),
              h("p", { class: "reason" }, reason),
            ),
          ),
        ),
      ),
  );
}

const checkOrder = { failed: 0, "not-run": 1, passed: 2 } as const;

/** Every check: failed ones first, then those that did not run, which passed nothing. */
export function viewChecks(checks: readonly Check[]): HTMLElement {
  return h(
    "ul",
    { class: "checks" },
    checks
      .toSorted((a, b) => checkOrder[a.status] - checkOrder[b.status])
      .map((check) =>
        h(
          "li",
          { class: `check ${check.status}` },
          h("span", { class: "status" }, checkWords[check.status]),
          h(
            "div",
            {},
            h("p", {}, check.title, check.code && h("code", { class: "code" }, check.code)),
            h("p", { class: "reason" }, check.detail),
          ),
        ),
      ),
  );
}
