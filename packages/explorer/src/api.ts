import { decodeEntry, type Entry, encodeEntry, fromHex } from "@countersign/core";
import { parseCheckpoint, parseNote } from "@countersign/log";

/** An entry with its place in the log. */
export type FeedEntry = { readonly index: number; readonly entry: Entry };

/** Whether a server stands behind the page; opened from a disk there is none, and nothing is asked. */
export const isServed = location.protocol === "http:" || location.protocol === "https:";

/** Reads JSON beside the page. Always this origin: the content policy allows no other. */
export async function fetchJson(path: string): Promise<unknown> {
  const answer = await fetch(path, { headers: { accept: "application/json" }, credentials: "omit" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return (await answer.json()) as unknown;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** An entry from its bytes, or from decoded fields where the server sends no bytes. */
function readEntry(value: Readonly<Record<string, unknown>>): Entry | undefined {
  const { bytes, index: _, ...fields } = value;
  try {
    if (typeof bytes === "string") return decodeEntry(fromHex(bytes));
    const entry = fields as Entry;
    // What encodes and decodes to itself has the form and ranges of an entry; anything else is not shown.
    const again = decodeEntry(encodeEntry(entry));
    return JSON.stringify(sortMembers(again)) === JSON.stringify(sortMembers(entry)) ? again : undefined;
  } catch {
    return undefined;
  }
}

const sortMembers = (entry: Entry) => Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1));

/** Reads one entry as the gateway serves it, or undefined when it is none: shown or not, never half. */
export function readFeedEntry(value: unknown): FeedEntry | undefined {
  if (!isRecord(value) || !Number.isSafeInteger(value.index) || (value.index as number) < 0) return undefined;
  const entry = readEntry(value);
  return entry && { index: value.index as number, entry };
}

/** Reads a page of `GET /v1/log/entries`. */
export function readFeedPage(value: unknown): readonly FeedEntry[] {
  if (!isRecord(value) || !Array.isArray(value.entries)) throw new Error("The log's answer can't be read.");
  return value.entries.map((item) => {
    const entry = readFeedEntry(item);
    if (!entry) throw new Error("An entry of the log's answer can't be read.");
    return entry;
  });
}

/** Size in the log's published checkpoint; 0 while there is none. */
export async function fetchLogSize(): Promise<number> {
  const answer = await fetch("log/checkpoint", { credentials: "omit" });
  if (answer.status === 404 || answer.status === 503) return 0;
  if (!answer.ok) throw new Error(`log/checkpoint answered ${answer.status}`);
  return parseCheckpoint(parseNote(await answer.text()).text).size;
}

/** A model as `GET /v1/models` lists it; fields that are missing are shown as missing. */
export type ModelRow = {
  readonly id: string;
  readonly digest: string | undefined;
  readonly deployment: string | undefined;
  readonly levels: readonly string[];
  /** What can be bought, in policy words. */
  readonly guarantees: readonly string[];
  readonly tasks: readonly string[];
  readonly scope: string | undefined;
  readonly labels: readonly string[];
  readonly about: readonly (readonly [string, string])[];
  readonly price: Readonly<Record<string, string>>;
};

const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((v): v is string => typeof v === "string") : [];
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const pairs = (value: unknown): readonly (readonly [string, string])[] =>
  isRecord(value) ? Object.entries(value).flatMap(([k, v]) => (typeof v === "string" ? [[k, v] as const] : [])) : [];

const aboutOf = (value: unknown) => (isRecord(value) ? value : {});

/** Reads the list of models. */
export function readModels(value: unknown): readonly ModelRow[] {
  if (!isRecord(value) || !Array.isArray(value.data)) throw new Error("The list of models can't be read.");
  return value.data.flatMap((model): ModelRow[] => {
    if (!isRecord(model) || typeof model.id !== "string") return [];
    const ours = isRecord(model.countersign) ? model.countersign : {};
    const deployment = isRecord(ours.deployment) ? ours.deployment : {};
    return [
      {
        id: model.id,
        digest: text(ours.digest),
        deployment: text(deployment.id) && `${deployment.id}, version ${deployment.version}`,
        levels: texts(ours.levels),
        guarantees: texts(ours.guarantees),
        tasks: texts(ours.tasks),
        scope: text(ours.scope),
        labels: texts(ours.labels),
        about: pairs({
          title: ours.title,
          quantisation: ours.quantisation,
          licence: ours.licence,
          ...aboutOf(ours.about),
        }),
        price: Object.fromEntries(pairs(ours.price)),
      },
    ];
  });
}

/** What the page shows of `GET /v1/network`. */
export function readNetwork(value: unknown): { readonly network: string; readonly development: boolean } | undefined {
  if (!isRecord(value) || typeof value.network !== "string") return undefined;
  return { network: value.network, development: value.development !== false };
}
