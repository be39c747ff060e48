import { existsSync, lstatSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join, sep } from "node:path";

/** What of a package.json counts here. */
export type Manifest = {
  readonly name?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};

const readManifest = (dir: string): Manifest => JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as Manifest;

/** Dependencies of dependencies that no node ever loads: left out, so that they are neither measured nor visible. */
const neverLoaded = new Set(["onnxruntime-web"]);

const fits = (allowed: readonly string[] | undefined, own: string): boolean =>
  allowed === undefined ||
  (allowed.includes(own) && !allowed.includes(`!${own}`)) ||
  allowed.every((a) => a.startsWith("!") && a !== `!${own}`);

const isWanted = ({ name = "", os, cpu }: Manifest): boolean =>
  !neverLoaded.has(name) && !name.startsWith("@types/") && fits(os, process.platform) && fits(cpu, process.arch);

/** Where a package is found from a folder, as the runtime looks for it: the path may be a link. */
function findPackage(from: string, name: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const path = join(at, "node_modules", name);
    if (existsSync(join(path, "package.json"))) return path;
    if (at === dirname(at)) return undefined;
  }
}

/** Packages by real path, and links by which they are found: path → real path. */
export type Closure = { readonly packages: Map<string, Manifest>; readonly links: Map<string, string> };

/** A package and all that it needs at run time, by real path, with the links by which they are found. */
export function closureOf(root: string): Closure {
  const packages = new Map<string, Manifest>();
  const links = new Map<string, string>();
  const add = (dir: string) => {
    if (packages.has(dir)) return;
    const manifest = readManifest(dir);
    if (!isWanted(manifest)) return;
    packages.set(dir, manifest);
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
      const found = findPackage(dir, name);
      if (found === undefined) continue;
      const real = realpathSync(found);
      if (lstatSync(found).isSymbolicLink()) links.set(found, real);
      add(real);
    }
  };
  add(realpathSync(root));
  return { packages, links };
}

/** The deepest folder that all paths lie in. */
export function commonFolder(paths: readonly string[]): string {
  const [first = [], ...rest] = paths.map((p) => p.split(sep));
  const length = first.findIndex((part, i) => rest.some((other) => other[i] !== part));
  return first.slice(0, length < 0 ? first.length : length).join(sep) || sep;
}
