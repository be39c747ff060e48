/** Turns token ids to text that can be shown piece by piece. */
export type Detokenise = (ids: readonly number[], before: readonly number[]) => string;

const broken = "\ufffd";
/** A character has at most four bytes; tokens that still make no character after so many never will. */
const mostHeld = 8;

/**
 * Text of a growing list of tokens in pieces that never break a character and never show a stop text, nor its beginning
 * before it is clear that it is none.
 */
export class TextStream {
  readonly #detokenise: Detokenise;
  readonly #stop: readonly string[];
  readonly #before: number[] = [];
  #held: number[] = [];
  #pending = "";
  #text = "";
  #stopped = false;

  constructor(detokenise: Detokenise, stop: readonly string[], prompt: readonly number[] = []) {
    this.#detokenise = detokenise;
    this.#stop = stop;
    this.#before.push(...prompt.slice(-mostHeld));
  }

  /** All text given out so far. */
  get text(): string {
    return this.#text;
  }

  /** Whether a stop text was reached; nothing comes after it. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes a token and gives the text that can be shown now. */
  add(id: number): string {
    if (this.#stopped) return "";
    this.#held.push(id);
    const text = this.#detokenise(this.#held, this.#before);
    if (text.endsWith(broken) && this.#held.length < mostHeld) return "";
    this.#settle();
    return this.#give(this.#pending + text, false);
  }

  /** The rest, once no token follows. */
  end(): string {
    if (this.#stopped) return "";
    const text = this.#held.length > 0 ? this.#detokenise(this.#held, this.#before) : "";
    this.#settle();
    return this.#give(this.#pending + text, true);
  }

  #settle(): void {
    this.#before.push(...this.#held);
    this.#before.splice(0, Math.max(0, this.#before.length - mostHeld));
    this.#held = [];
  }

  #give(text: string, last: boolean): string {
    const hits = this.#stop.map((s) => text.indexOf(s)).filter((at) => at >= 0);
    if (hits.length > 0) {
      this.#stopped = true;
      this.#pending = "";
      return this.#show(text.slice(0, Math.min(...hits)));
    }
    const keep = last ? 0 : Math.max(0, ...this.#stop.map((s) => overlap(text, s)));
    this.#pending = text.slice(text.length - keep);
    return this.#show(text.slice(0, text.length - keep));
  }

  #show(text: string): string {
    // A token may end inside a surrogate pair only as broken text, which is held back above; what is cut here is whole.
    this.#text += text;
    return text;
  }
}

/** Length of the longest end of `text` that is a beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
