// Fails when the checking packages grow past their budgets: an auditor reads what he installs, a browser loads it.
import { globSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const treeBudget = 12_000_000;
/** Minified and gzipped, in bytes. */
const bundles = { verify: 150_000, sdk: 180_000 } as const;

type Manifest = { readonly dependencies?: Readonly<Record<string, string>> };
const read = (path: string): Manifest => JSON.parse(readFileSync(path, "utf8"));

/** Folder of a dependency as Node finds it from `from`. */
function folderOf(name: string, from: string): string {
  for (let at = from; ; at = dirname(at)) {
    const found = statSync(join(at, "node_modules", name, "package.json"), { throwIfNoEntry: false });
    if (found) return realpathSync(join(at, "node_modules", name));
    if (dirname(at) === at) throw new Error(`${name} is not installed for ${from}`);
  }
}

/** What a user of our package gets of a folder: of ours the sources without tests, of others everything. */
function bytesOf(folder: string): number {
  const ours = folder.startsWith(join(process.cwd(), "packages"));
  const files = globSync(ours ? "src/**/*.ts" : "**/*", { cwd: folder, exclude: (f) => f.includes("node_modules") });
  return files
    .filter((f) => !(ours && f.endsWith(".test.ts")))
    .map((f) => statSync(join(folder, f)))
    .reduce((sum, s) => sum + (s.isFile() ? s.size : 0), 0);
}

/** Folders of a package and of everything that it needs at run time. */
function treeOf(folder: string, seen = new Map<string, number>()): ReadonlyMap<string, number> {
  if (seen.has(folder)) return seen;
  seen.set(folder, bytesOf(folder));
  for (const name of Object.keys(read(join(folder, "package.json")).dependencies ?? {})) {
    treeOf(folderOf(name, folder), seen);
  }
  return seen;
}

async function bundleOf(name: string): Promise<{ readonly minified: number; readonly gzip: number }> {
  const { outputFiles } = await build({
    entryPoints: [`packages/${name}/src/index.ts`],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
    logLevel: "error",
  });
  const bytes = outputFiles[0]?.contents ?? new Uint8Array();
  if (bytes.length < 1000) throw new Error(`The bundle of ${name} is empty: nothing was measured.`);
  return { minified: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}

let over = false;
const tell = (what: string, size: number, budget: number) => {
  const mark = size > budget ? "OVER" : "ok";
  over ||= size > budget;
  console.log(`${mark.padEnd(5)}${what.padEnd(40)}${String(size).padStart(12)} of ${budget}`);
};
for (const [name, budget] of Object.entries(bundles)) {
  const tree = treeOf(join(process.cwd(), "packages", name));
  tell(
    `@countersign/${name} unpacked with dependencies`,
    [...tree.values()].reduce((a, b) => a + b, 0),
    treeBudget,
  );
  const { minified, gzip } = await bundleOf(name);
  tell(`@countersign/${name} bundle, gzip`, gzip, budget);
  console.log(`     minified ${minified} bytes, ${tree.size} packages`);
}
process.exit(over ? 1 : 0);
