import { utf8 } from "@countersign/core";
import { h } from "./dom.ts";

/** An input that takes a file or text. */
export type InputBox = {
  readonly element: HTMLElement;
  readonly area: HTMLTextAreaElement;
  readonly set: (bytes: Uint8Array) => void;
  /** What is in it, or undefined for nothing. A file's bytes stay as they were until somebody edits the text. */
  readonly get: () => Uint8Array | undefined;
};

/** Makes an input; `onChange` hears of a new file or text. */
export function makeInputBox(args: {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly rows: number;
  readonly placeholder?: string;
  readonly onChange: () => void;
}): InputBox {
  const { id, label, hint, rows, placeholder, onChange } = args;
  const area = h("textarea", {
    id,
    rows,
    placeholder,
    spellcheck: "false",
    autocomplete: "off",
    "aria-describedby": `${id}-hint`,
  });
  const file = h("input", { type: "file", id: `${id}-file`, class: "file", tabindex: -1, "aria-hidden": "true" });
  const choose = h(
    "button",
    { type: "button", class: "small", "aria-label": `${label}: choose a file` },
    "Choose a file",
  );
  // A text field changes line ends, so the exact bytes are held beside it.
  let held: { readonly bytes: Uint8Array; readonly shown: string } | undefined;
  const set = (bytes: Uint8Array) => {
    area.value = new TextDecoder().decode(bytes);
    held = { bytes, shown: area.value };
  };
  choose.addEventListener("click", () => file.click());
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
      h("p", { class: "hint", id: `${id}-hint` }, hint),
    ),
    area,
    set,
    get() {
      if (area.value === "") return undefined;
      return held?.shown === area.value ? held.bytes : utf8(area.value);
    },
  };
}
