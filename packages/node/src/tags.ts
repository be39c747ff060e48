import { appendFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { CountersignError, type Hex } from "@countersign/core";

/**
 * The request tags that this node has signed a receipt for: one request under one offer gets one receipt, however often
 * it is asked for, also across a restart (A4). Otherwise a node could run until the sample pleases.
 */
export class RequestTags {
  readonly #path: string | null;
  readonly #running = new Set<Hex>();
  /** Tag → second after which the offer is void anyway. */
  readonly #signed: Map<Hex, number>;

  private constructor(path: string | null, signed: Map<Hex, number>) {
    this.#path = path;
    this.#signed = signed;
  }

  /** Opens the journal, or one that lives in memory when there is no path. @throws STORE_CORRUPT */
  static async open(path: string | null, now: number): Promise<RequestTags> {
    const signed = new Map<Hex, number>();
    const text = path === null ? "" : await readFile(path, "utf8").catch(() => "");
    const lines = text.split("\n");
    for (const [i, line] of lines.entries()) {
      if (line === "") continue;
      const found = /^([0-9a-f]{64}) ([0-9]{1,12})$/.exec(line);
      // A last line that was cut by a crash was never acted on; any other means somebody else wrote here.
      if (!found && i === lines.length - 1) continue;
      if (!found)
        throw new CountersignError("STORE_CORRUPT", { message: `Line ${i + 1} of ${path} is not a request tag.` });
      const until = Number(found[2]);
      if (until * 1000 >= now) signed.set(found[1] as Hex, until);
    }
    if (path !== null) await mkdir(dirname(path), { recursive: true });
    return new RequestTags(path, signed);
  }

  /** Takes a tag for the time of a run; call the result when the run is over. @throws NONCE_REPLAYED */
  reserve(tag: Hex, now: number): () => void {
    for (const [old, until] of this.#signed) if (until * 1000 < now) this.#signed.delete(old);
    if (this.#running.has(tag) || this.#signed.has(tag)) {
      throw new CountersignError("NONCE_REPLAYED", {
        message: "This request was run under this offer already.",
        why: "One request under one offer has one receipt; a second run would let somebody choose between two answers.",
        remedy: "Ask for the first run's receipt, or send the request with a new nonce.",
      });
    }
    this.#running.add(tag);
    return () => this.#running.delete(tag);
  }

  /** Notes, before the signature leaves this process, that there is one. */
  async sign(tag: Hex, until: number): Promise<void> {
    this.#signed.set(tag, until);
    if (this.#path !== null) await appendFile(this.#path, `${tag} ${until}\n`);
  }
}
