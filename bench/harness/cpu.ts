// Work on one core is timed in CPU time of the whole process: other load on the machine hardly moves it, and garbage
// collection on V8's own threads counts as well.

const seconds = Number(process.env.BENCH_SECONDS ?? 3);

/** Microseconds of CPU time that one call takes, over `ms` milliseconds of calls. */
function cost(work: () => void, ms: number): number {
  const end = performance.now() + ms;
  const before = process.cpuUsage();
  let done = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 8; i++) work();
    done += 8;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / done;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;

/** CPU microseconds of each piece of work, in turns so that all see the same machine; the median of the turns. */
export function costs<Name extends string>(works: Readonly<Record<Name, () => void>>): Record<Name, number> {
  const names = Object.keys(works) as Name[];
  const turns = 9;
  for (const name of names) cost(works[name], 400);
  const times = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (let turn = 0; turn < turns; turn++) {
    for (const name of names) times.get(name)?.push(cost(works[name], (seconds * 300) / turns));
  }
  return Object.fromEntries(names.map((name) => [name, median(times.get(name) as number[])])) as Record<Name, number>;
}
