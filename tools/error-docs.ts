// Fails when an error code has no page, a page has no code, or a page lacks one of its three parts.
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { errorTable } from "@countersign/core";

const faults: string[] = [];
for (const code of Object.keys(errorTable)) {
  const page = `docs/errors/${code}.md`;
  if (!existsSync(page)) {
    faults.push(`${code} has no page ${page}`);
    continue;
  }
  const text = readFileSync(page, "utf8");
  for (const part of ["## Cause", "## Remedy", "## Example"])
    if (!text.includes(part)) faults.push(`${page} lacks "${part}"`);
}
for (const page of globSync("docs/errors/*.md")) {
  const code = basename(page, ".md");
  if (code !== "README" && !Object.hasOwn(errorTable, code)) faults.push(`${page} is about no known code`);
}
for (const fault of faults) console.error(fault);
process.exit(faults.length > 0 ? 1 : 0);
