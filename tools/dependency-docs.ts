// Fails when a runtime dependency has no line in docs/dependencies.md, or a line names one that is gone.
import { globSync, readFileSync } from "node:fs";

const text = readFileSync("docs/dependencies.md", "utf8");
const listed = new Set([...text.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name as string));
const used = new Set<string>();
for (const manifest of globSync("packages/*/package.json")) {
  const pkg = JSON.parse(readFileSync(manifest, "utf8"));
  for (const name of Object.keys({ ...pkg.dependencies, ...pkg.optionalDependencies }))
    if (!name.startsWith("@countersign/")) used.add(name);
}
const faults = [...used].filter((n) => !listed.has(n)).map((n) => `${n} has no line in docs/dependencies.md`);
faults.push(
  ...[...listed].filter((n) => !used.has(n)).map((n) => `docs/dependencies.md names ${n}, which no package uses`),
);
for (const fault of faults) console.error(fault);
process.exit(faults.length > 0 ? 1 : 0);
