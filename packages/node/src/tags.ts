import { appendFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { CountersignError, type Hex } from "@countersign/core";

const written = /^([0-9a-f]{64}) ([0-9]{1,12})$/;
/** Ends a line that a crash cut short. */
const cut = " cut";

// Only a journal that is not there is an empty one: whoever keeps it from being read would have everything run again.
async function readJournal(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw new CountersignError("STORE_CORRUPT", { message: `${path} cannot be read.`, cause });
  }
}

/**
 * The request tags that this node has signed a receipt for: one request under one offer gets one receipt, however often
 * it is asked for, also across a restart (A4). Otherwise a node could run until the sample pleases.
 */
export class RequestTags {
  readonly #path: string | null;
  readonly #running = new Set<Hex>();
  /** Tag → second after which the offer is void anyway. */
  readonly #signed: Map<Hex, number>;
  #forgotten = 0;

  private constructor(path: string | null, signed: Map<Hex, number>) {
    this.#path = path;
    this.#signed = signed;
  }

  /** Opens the journal, or one that lives in memory when there is no path. @throws STORE_CORRUPT */
  static async open(path: string | null, now: number): Promise<RequestTags> {
    const signed = new Map<Hex, number>();
    const text = path === null ? "" : await readJournal(path);
    const lines = text.split("\n");
    const lastIsWhole = written.test(lines.at(-1) as string);
    for (const [i, line] of lines.entries()) {
      if (line === "") continue;
      const found = written.exec(line);
      // A line without its end was cut by a crash and never acted on; any other means somebody else wrote here.
      if (!found && (i === lines.length - 1 || line.endsWith(cut))) continue;
      if (!found)
        throw new CountersignError("STORE_CORRUPT", { message: `Line ${i + 1} of ${path} is not a request tag.` });
      const until = Number(found[2]);
      if (until * 1000 >= now) signed.set(found[1] as Hex, until);
    }
    if (path !== null) await mkdir(dirname(path), { recursive: true });
    // Else the next tag would stand behind it, on one line with it.
    if (path !== null && !text.endsWith("\n") && text !== "") await appendFile(path, lastIsWhole ? "\n" : `${cut}\n`);
    return new RequestTags(path, signed);
  }

  /** Takes a tag for the time of a run; call the result when the run is over. @throws NONCE_REPLAYED */
  reserve(tag: Hex, now: number): () => void {
    this.#forget(now);
    if (this.#running.has(tag) || (this.#signed.get(tag) ?? -1) * 1000 >= now) {
      throw new CountersignError("NONCE_REPLAYED", {
        message: "This request was run under this offer already.",
        why: "One request under one offer has one receipt; a second run would let somebody choose between two answers.",
        remedy: "Ask for the first run's receipt, or send the request with a new nonce.",
      });
    }
    this.#running.add(tag);
    return () => this.#running.delete(tag);
  }

  // Now and then: there may be a day's tags, and every run comes by here.
  #forget(now: number): void {
    if (now < this.#forgotten + 60_000) return;
    this.#forgotten = now;
    for (const [old, until] of this.#signed) if (until * 1000 < now) this.#signed.delete(old);
  }

  /** Notes, before the signature leaves this process, that there is one. */
  async sign(tag: Hex, until: number): Promise<void> {
    this.#signed.set(tag, until);
    if (this.#path !== null) await appendFile(this.#path, `${tag} ${until}\n`);
  }
}
