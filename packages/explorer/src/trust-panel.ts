import { noTrust, parseTrust, type Trust, utf8 } from "@countersign/core";
import { fetchJson, isServed } from "./api.ts";
import { type Child, fill, h } from "./dom.ts";
import { viewFault } from "./fault-view.ts";
import { makeInputBox } from "./input-box.ts";

/** Whom the reader believes: nobody, until he says otherwise. */
export type TrustPanel = {
  readonly element: HTMLElement;
  readonly trust: () => Trust;
  readonly allowDevelopment: () => boolean;
  /** Takes the bytes of a trust file. */
  readonly take: (bytes: Uint8Array) => void;
};

function viewTrust(trust: Trust): Child {
  if (trust === noTrust) {
    return h(
      "p",
      { class: "note" },
      h("strong", {}, "You believe nobody yet."),
      " Without a trust file everything stays unproven. That is the right default: a receipt can't say whom you should believe.",
    );
  }
  const names = (list: readonly { readonly name: string }[]) => list.map((k) => k.name).join(", ") || "nobody";
  const { registrars, logs, monitors, auditors } = trust;
  return h(
    "div",
    { class: `note ${trust.development ? "development" : "good"}` },
    h("p", {}, h("strong", {}, trust.name), trust.development && " (development stand-ins)", ` on ${trust.network}`),
    h(
      "p",
      { class: "reason" },
      `Registrars: ${names(registrars)}. Logs: ${logs.length}. Monitors: ${monitors.quorum} of ${names(monitors.keys)}. Auditors: ${names(auditors.keys)}.`,
    ),
    trust.development &&
      h(
        "p",
        { class: "reason" },
        "Whoever runs this network made these keys. To let them count, allow development trust as well.",
      ),
  );
}

/** Makes the panel; `onChange` hears of every change of trust. */
export function makeTrustPanel(onChange: () => void): TrustPanel {
  let trust: Trust = noTrust;
  const state = h("div", { id: "trust-state" });
  const box = makeInputBox({
    id: "trust",
    label: "Trust file",
    hint: "countersign/trust/v1: whose keys, logs, witnesses and roots you accept. Get it from somebody you believe, not from this page.",
    rows: 4,
    onChange: () => read(),
  });
  const development = h("input", { id: "development", type: "checkbox", "aria-describedby": "development-hint" });
  const own = h(
    "button",
    { type: "button", class: "secondary development", hidden: true },
    "Use this network's development trust",
  );

  function read(): void {
    const bytes = box.get();
    try {
      trust = bytes ? parseTrust(new TextDecoder().decode(bytes)) : noTrust;
      fill(state, viewTrust(trust));
    } catch (error) {
      // A file that can't be read must not leave the last one in force.
      trust = noTrust;
      fill(state, h("div", { class: "note bad", role: "alert" }, viewFault(error), h("p", {}, "Nobody is believed.")));
    }
    onChange();
  }

  const take = (bytes: Uint8Array) => {
    box.set(bytes);
    read();
  };
  development.addEventListener("change", onChange);
  own.addEventListener("click", async () => {
    try {
      take(utf8(JSON.stringify(await fetchJson("trust.dev.json"), null, 2)));
    } catch (error) {
      fill(state, h("div", { class: "note bad", role: "alert" }, viewFault(error)));
    }
  });
  if (isServed) {
    // Asked for its existence only: nothing is taken from it before the click.
    fetch("trust.dev.json", { method: "HEAD", credentials: "omit" }).then(
      (answer) => {
        own.hidden = !answer.ok;
      },
      () => undefined,
    );
  }
  fill(state, viewTrust(trust));
  return {
    element: h(
      "fieldset",
      {},
      h("legend", {}, "Whom you believe"),
      state,
      own,
      h("details", { class: "more" }, h("summary", {}, "Put in a trust file"), box.element),
      h(
        "div",
        {},
        h("label", { class: "switch", for: "development" }, development, h("span", {}, "Allow development trust")),
        h(
          "p",
          { class: "hint", id: "development-hint" },
          "Off by default. Development networks use throw-away keys, a local chain and simulated hardware: real formats, no real ground. Allow them only to try things out.",
        ),
      ),
    ),
    trust: () => trust,
    allowDevelopment: () => development.checked,
    take,
  };
}
