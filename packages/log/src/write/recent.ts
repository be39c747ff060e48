/** Which index each of the latest entries has, by leaf hash, so that appending the same bytes again changes nothing. */
export class RecentEntries<T> {
  private readonly limit: number;
  private readonly known = new Map<string, T>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get(leaf: Uint8Array): T | undefined {
    return this.limit === 0 ? undefined : this.known.get(nameOf(leaf));
  }

  set(leaf: Uint8Array, value: T): void {
    if (this.limit === 0) return;
    this.known.set(nameOf(leaf), value);
    if (this.known.size <= this.limit) return;
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest);
      return;
    }
  }

  /** Changes the value without making the entry younger. */
  replace(leaf: Uint8Array, value: T): void {
    this.known.set(nameOf(leaf), value);
  }

  delete(leaf: Uint8Array): void {
    this.known.delete(nameOf(leaf));
  }
}

const nameOf = (leaf: Uint8Array): string => Buffer.from(leaf.buffer, leaf.byteOffset, 32).toString("latin1");
