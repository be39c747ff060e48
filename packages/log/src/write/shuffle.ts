/** Random numbers in [0, 1) from the system's source, drawn many at a time. */
export function systemRandom(): () => number {
  const pool = new Uint32Array(4096);
  let at = pool.length;
  return () => {
    if (at === pool.length) {
      crypto.getRandomValues(pool);
      at = 0;
    }
    return (pool[at++] as number) / 2 ** 32;
  };
}

/** Puts items in random order, in place (Fisher and Yates). */
export function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
