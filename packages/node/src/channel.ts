/** Turns calls back into something to iterate over: what was pushed comes out in order, then the end or the error. */
export class Channel<T> {
  readonly #items: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** Ends it when the work does. */
  follow(work: Promise<unknown>): void {
    work
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#ended = true;
        this.#wake?.();
      });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) yield item;
      if (this.#ended) {
        if (this.#failure) throw this.#failure.error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
