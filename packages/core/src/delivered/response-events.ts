import { CountersignError } from "../errors/error.ts";
import { isObject, type Json, type JsonObject } from "../json.ts";
import { coverItem, coverPart, coverResponse, isIndex } from "./coverage.ts";

/*
 * `/v1/responses` says everything twice: in events as they come and in the final object. The receipt covers the final
 * object; people see the events. So the events must add up to it.
 */

const differs = (where: string): never => {
  throw new CountersignError("OUTPUT_MISMATCH", {
    message: `The stream's ${where} is not what its final event says.`,
    why: "The receipt covers the final event; what was streamed before must be the same.",
  });
};

const malformed = (why: string) =>
  new CountersignError("STREAM_MALFORMED", { message: "The stream's events cannot be read in one way.", why });

/** Whether a response that is only beginning has nothing in it yet. */
const saysNothing = (response: Json | undefined) =>
  isObject(response) &&
  (response.output === undefined || (Array.isArray(response.output) && response.output.length === 0)) &&
  (response.error ?? null) === null &&
  (response.output_text ?? "") === "";

/** Collects what the events of one stream said. */
export class ResponseEvents {
  readonly #texts = new Map<string, string>();
  readonly #calls = new Map<string, string>();
  /** Items that were shown whole. */
  readonly #shown = new Set<string>();
  /** What must be equal to the final object, checked when it is there. */
  readonly #promises: ((final: readonly Json[]) => void)[] = [];
  #ended = false;

  /** Takes one event. @throws STREAM_MALFORMED for a kind that is not known or an event after the last, OUTPUT_MISMATCH */
  add(event: JsonObject): void {
    // Whatever came later would be checked against nothing.
    if (this.#ended) throw malformed("An event follows the final one.");
    const item = String(event.output_index);
    const place = `${item}/${String(event.content_index)}`;
    // Two spellings of one place would be two texts to some clients.
    const inItem = () => isIndex(event.output_index) || differs("place");
    const inPart = () => (inItem() && isIndex(event.content_index)) || differs("place");
    const append = (map: Map<string, string>, key: string) => {
      if (typeof event.delta !== "string") differs("delta");
      map.set(key, (map.get(key) ?? "") + String(event.delta));
    };
    switch (event.type) {
      case "response.created":
      case "response.queued":
      case "response.in_progress":
        if (!saysNothing(event.response)) differs("first event");
        return;
      case "response.output_item.added":
        inItem();
        coverItem(event.item, "an added item");
        this.#expect("added item", (final) => isStartOf(event.item, at(final, item)));
        return;
      case "response.output_item.done":
        inItem();
        coverItem(event.item, "a finished item");
        this.#shown.add(item);
        this.#expect("finished item", (final) => sameItem(event.item, at(final, item)));
        return;
      case "response.content_part.added":
        inPart();
        coverPart(event.part, "an added part");
        this.#expect("added part", () => member(event.part, "text") === "");
        return;
      case "response.content_part.done":
        inPart();
        coverPart(event.part, "a finished part");
        this.#expect("finished part", (final) => member(event.part, "text") === textAt(final, place));
        return;
      case "response.output_text.delta":
        inPart();
        append(this.#texts, place);
        return;
      case "response.output_text.done":
        inPart();
        this.#expect("finished text", (final) => event.text === textAt(final, place));
        return;
      case "response.function_call_arguments.delta":
        inItem();
        append(this.#calls, item);
        return;
      case "response.function_call_arguments.done":
        inItem();
        this.#expect(
          "finished arguments",
          (final) =>
            event.arguments === member(at(final, item), "arguments") &&
            (event.name === undefined || event.name === member(at(final, item), "name")),
        );
        return;
      case "response.completed":
      case "response.incomplete":
        if (!isObject(event.response) || (event.response.status ?? "completed") !== event.type.slice(9))
          differs("final event");
        this.#ended = true;
        this.#end(event.response as JsonObject);
        return;
      default:
        throw malformed(`It holds an event of an unknown kind, ${JSON.stringify(String(event.type).slice(0, 64))}.`);
    }
  }

  #expect(where: string, holds: (final: readonly Json[]) => boolean): void {
    this.#promises.push((final) => holds(final) || differs(where));
  }

  #end(response: JsonObject): void {
    coverResponse(response);
    const final = response.output as readonly Json[];
    for (const check of this.#promises) check(final);
    for (const [place, text] of this.#texts) if (text !== textAt(final, place)) differs("text");
    for (const [item, text] of this.#calls) if (text !== member(at(final, item), "arguments")) differs("arguments");
    // What people saw must also be all there is: a call that only the final object has would be missed.
    final.forEach((item, i) => {
      if (member(item, "type") === "function_call" && !this.#shown.has(String(i))) differs("list of calls");
      const parts = isObject(item) && Array.isArray(item.content) ? (item.content as readonly Json[]) : [];
      parts.forEach((part, j) => {
        if (member(part, "text") !== "" && !this.#texts.has(`${i}/${j}`)) differs("text");
      });
    });
  }
}

const at = (final: readonly Json[], item: string): Json | undefined => final[Number(item)];
const member = (value: Json | undefined, name: string): Json | undefined => (isObject(value) ? value[name] : undefined);
function textAt(final: readonly Json[], place: string): Json | undefined {
  const [item = "", part = ""] = place.split("/");
  const content = member(at(final, item), "content");
  return Array.isArray(content) ? member((content as readonly Json[])[Number(part)], "text") : undefined;
}

const textsOf = (item: Json | undefined): string => {
  const content = member(item, "content");
  return Array.isArray(content)
    ? JSON.stringify((content as readonly Json[]).map((p) => [member(p, "type"), member(p, "text")]))
    : "[]";
};
const sameMembers = (a: Json | undefined, b: Json | undefined, names: readonly string[]) =>
  names.every((name) => member(a, name) === member(b, name));
const sameItem = (a: Json | undefined, b: Json | undefined) =>
  b !== undefined && sameMembers(a, b, ["type", "role", "call_id", "name", "arguments"]) && textsOf(a) === textsOf(b);
const isStartOf = (a: Json | undefined, b: Json | undefined) =>
  b !== undefined &&
  sameMembers(a, b, ["type", "role", "call_id", "name"]) &&
  ["", undefined].includes(member(a, "arguments") as string | undefined) &&
  textsOf(a) === "[]";
