/** What can stand inside an element. Strings become text nodes, so no data is ever read as markup. */
export type Child = Node | string | null | undefined | false | readonly Child[];

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

function append(parent: Element, child: Child): void {
  if (child === null || child === undefined || child === false) return;
  if (Array.isArray(child)) for (const c of child as readonly Child[]) append(parent, c);
  else parent.append(child as Node | string);
}

/** Builds an element. Attribute names are the program's own; values may be data, which is why none is a handler or a link. */
export function h<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** Puts new content into an element. */
export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren();
  append(element, children);
}

/** An element that the page's own HTML has. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element;
}

/** A digest cut to its first digits; the whole stands in the title and is what gets copied. */
export function short(digest: string, digits = 10): HTMLElement {
  return h("code", { class: "digest", title: digest }, `${digest.slice(0, digits)}…`);
}

/** A time for people, with the exact one in the title. */
export function time(milliseconds: number): HTMLElement {
  const date = new Date(milliseconds);
  const iso = Number.isNaN(date.getTime()) ? String(milliseconds) : date.toISOString();
  return h("time", { datetime: iso, title: iso }, iso.slice(0, 19).replace("T", " "), " UTC");
}
