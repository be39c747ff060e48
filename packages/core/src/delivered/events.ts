import { fromUtf8 } from "../bytes.ts";
import { CountersignError } from "../errors/error.ts";
import { isObject, type JsonObject, parseJson } from "../json.ts";

/** One event of a delivered stream: its object, or the closing `[DONE]`. */
export type DeliveredEvent = { readonly event: string | undefined; readonly value: JsonObject | "done" };

const malformed = (why: string, cause?: unknown) =>
  new CountersignError("STREAM_MALFORMED", { message: "The stream holds something that is not an event.", why, cause });

/**
 * Reads one event block, refusing whatever two readers could read differently: unknown fields, several data lines, data
 * that is no object. Comments are dropped; a block of comments gives undefined.
 *
 * @throws STREAM_MALFORMED
 */
export function readEvent(block: string): DeliveredEvent | undefined {
  // Some readers end a line at a lone carriage return: an event could hide behind it, in a comment even. A byte order
  // mark, which some drop, makes a line that is none of ours; inside a text it is the model's.
  if (block.includes("\r")) throw malformed("It holds a carriage return.");
  let event: string | undefined;
  let data: string | undefined;
  for (const line of block.split("\n")) {
    if (line === "" || line.startsWith(":")) continue;
    const [, name, value = ""] = /^(data|event): ?(.*)$/s.exec(line) ?? [];
    if (name === "data" && data === undefined) data = value;
    else if (name === "event" && event === undefined) event = value;
    else
      throw malformed(
        `A line is neither data, event nor comment, or stands twice: ${JSON.stringify(line.slice(0, 80))}.`,
      );
  }
  if (data === undefined) {
    if (event !== undefined) throw malformed("An event has no data.");
    return undefined;
  }
  if (data === "[DONE]") return { event, value: "done" };
  try {
    const value = parseJson(data);
    if (isObject(value)) return { event, value };
  } catch (cause) {
    throw malformed("An event's data is not JSON with one reading.", cause);
  }
  throw malformed("An event's data is not an object.");
}

/** The events of a whole stream. @throws STREAM_MALFORMED, STREAM_TRUNCATED when the last event is cut off */
export function readEvents(bytes: Uint8Array): DeliveredEvent[] {
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch (cause) {
    throw malformed("It is not UTF-8.", cause);
  }
  const blocks = text.split("\n\n");
  if ((blocks.pop() ?? "").trim() !== "") {
    throw new CountersignError("STREAM_TRUNCATED", { message: "The stream ended inside an event." });
  }
  return blocks.flatMap((block) => readEvent(block) ?? []);
}
