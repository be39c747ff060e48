import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

/** Folders of a local network: what is kept between runs, and what belongs to one run. */
export type Home = {
  /** Kept: fetched weights. */
  readonly weights: string;
  /** This run's own: keys, configurations, log, state. */
  readonly run: string;
  /** Output of the processes. */
  readonly logs: string;
  readonly catalogue: string;
  /** Removes what belongs to this run. */
  readonly remove: () => Promise<void>;
};

/** The home folder that was asked for, or `.countersign` here. */
export const homeFolder = (path: string | undefined): string =>
  resolve(path ?? process.env.COUNTERSIGN_HOME ?? ".countersign");
/** Where fetched weights are kept. */
export const weightsFolder = (home: string): string => join(home, "weights");

/** Makes the folders of a fresh run: every start has keys and a chain of its own. */
export async function makeHome(home: string): Promise<Home> {
  const weights = weightsFolder(home);
  await mkdir(weights, { recursive: true });
  await removeLeftovers(home);
  const run = await mkdtemp(join(home, "run-"));
  const folders = { logs: join(run, "logs"), catalogue: join(run, "catalogue") };
  await writeFile(join(run, "pid"), String(process.pid));
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true, mode: 0o700 });
  return { weights, run, ...folders, remove: () => rm(run, { recursive: true, force: true }) };
}

/** Removes the folders of runs whose process is gone: a run that was killed cannot tidy up after itself. */
async function removeLeftovers(home: string): Promise<void> {
  const runs = (await readdir(home)).filter((name) => name.startsWith("run-"));
  for (const name of runs) {
    const pid = Number(await readFile(join(home, name, "pid"), "utf8").catch(() => "0"));
    if (!isAlive(pid)) await rm(join(home, name), { recursive: true, force: true });
  }
}

/** Whether a process lives. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It lives, and is another user's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
