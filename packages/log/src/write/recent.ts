/**
 * The latest `limit` values by name, and up to as many older ones.
 *
 * Two generations instead of dropping the oldest one by one: a Map that loses its first key at every step has to walk
 * past all the lost ones to find the next.
 */
export class Recent<T> {
  private readonly limit: number;
  private young = new Map<string, T>();
  private old = new Map<string, T>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get(name: string): T | undefined {
    return this.young.get(name) ?? this.old.get(name);
  }

  set(name: string, value: T): void {
    if (this.limit === 0) return;
    if (this.young.size >= this.limit) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(name, value);
  }

  /** Changes the value of a name that is there, without making it younger. */
  replace(name: string, value: T): void {
    if (this.young.has(name)) this.young.set(name, value);
    else if (this.old.has(name)) this.old.set(name, value);
  }

  delete(name: string): void {
    this.young.delete(name);
    this.old.delete(name);
  }
}

/** A hash as a map's key. */
export const nameOfHash = (hash: Uint8Array): string =>
  Buffer.from(hash.buffer, hash.byteOffset, 32).toString("latin1");
