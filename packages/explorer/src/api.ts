import { type Entry, entryFlags, entryKinds } from "@countersign/core";

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
const isDigest = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
const isCount = (value: unknown, most: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
const isMask = (value: unknown): value is number => isCount(value, 0xffff);

/** Reads one decoded entry as the gateway serves it, or undefined when it is none: shown or not, never half. */
export function readFeedEntry(value: unknown): FeedEntry | undefined {
  if (!isRecord(value)) return undefined;
  const body = isRecord(value.entry) ? value.entry : value;
  const { kind, flags, subject, envelope, issuer, model, tag, deployment, demanded } = body;
  const digests = [subject, envelope, issuer, model, tag, deployment];
  const lists = Array.isArray(flags) && Array.isArray(demanded);
  if (!isCount(value.index, Number.MAX_SAFE_INTEGER) || !digests.every(isDigest) || !lists) return undefined;
  if (!entryKinds.includes(kind as never) || !flags.every((f) => entryFlags.includes(f as never))) return undefined;
  if (demanded.length > 4 || ![...demanded, body.bought, body.delivered].every(isMask)) return undefined;
  if (!isCount(body.tokens, 255) || !isCount(body.value, 255) || !isCount(body.hour, 0xffffffff)) return undefined;
  return { index: value.index, entry: body as Entry };
}

/** Reads a page of `GET /v1/log/entries`. */
export function readFeedPage(value: unknown): { readonly size: number; readonly entries: readonly FeedEntry[] } {
  if (!isRecord(value) || !Array.isArray(value.entries)) throw new Error("The log's answer can't be read.");
  const entries = value.entries.map(readFeedEntry);
  if (entries.includes(undefined)) throw new Error("An entry of the log's answer can't be read.");
  return { size: isCount(value.size, Number.MAX_SAFE_INTEGER) ? value.size : 0, entries: entries as FeedEntry[] };
}

/** A model as `GET /v1/models` lists it; fields that are missing are shown as missing. */
export type ModelRow = {
  readonly id: string;
  readonly digest: string | undefined;
  readonly deployment: string | undefined;
  readonly levels: readonly string[];
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
        tasks: texts(ours.tasks),
        scope: text(ours.scope),
        labels: texts(ours.labels),
        about: pairs(ours.about),
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
