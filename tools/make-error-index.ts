// Writes what the table of errors says into docs/errors: the index README.md and the head of each page.
// With --check it writes nothing and fails where a file says otherwise.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type ErrorCode, errorTable } from "@countersign/core";

const folder = "docs/errors";
const check = process.argv.includes("--check");
const exits: Readonly<Record<number, string>> = {
  1: "refuted",
  2: "unmet or unproven",
  64: "wrong use",
  69: "unreachable or not ready",
  70: "our fault",
};

/** The areas are the comments of the table: `// request`, then the codes below it. */
function readAreas(): readonly { readonly name: string; readonly codes: readonly ErrorCode[] }[] {
  const text = readFileSync("packages/core/src/errors/table.ts", "utf8");
  const body = text.slice(text.indexOf("export const errorTable"));
  const areas: { name: string; codes: ErrorCode[] }[] = [];
  for (const [, name, code] of body.matchAll(/^ {2}(?:\/\/ (.+)|([A-Z][A-Z0-9_]*): row\()/gm)) {
    if (name !== undefined) areas.push({ name, codes: [] });
    else areas.at(-1)?.codes.push(code as ErrorCode);
  }
  const found = new Set(areas.flatMap((a) => a.codes));
  const lost = Object.keys(errorTable).filter((code) => !found.has(code as ErrorCode));
  if (lost.length > 0) throw new Error(`Not found under an area of the table: ${lost.join(", ")}`);
  return areas;
}

function headOf(code: ErrorCode): string {
  const { title, http, type, exit } = errorTable[code];
  return `# ${code}\n\n${title}\n\nHTTP ${http}, \`type\` \`${type}\`. Command line: exit ${exit} (${exits[exit]}).\n\n`;
}

function writeIndex(): string {
  const rows = (codes: readonly ErrorCode[]) =>
    codes.map((code) => {
      const { http, exit, title } = errorTable[code];
      return `| [${code}](${code}.md) | ${http} | ${exit} | ${title} |`;
    });
  return [
    "# Errors",
    "",
    "Every error has a code of this closed list. Over HTTP it stands in `error.code` of OpenAI's envelope; on the command line in the last line of the message. Each page says cause, remedy and an example.",
    "",
    "Exit statuses: 0 met, 1 refuted, 2 unmet or unproven, 64 wrong use, 69 unreachable or not ready, 70 our fault. In a verdict the same codes stand beside checks and findings, where they stop nothing by themselves.",
    "",
    "Made by `node tools/make-error-index.ts` from `packages/core/src/errors/table.ts`.",
    ...readAreas().flatMap(({ name, codes }) => [
      "",
      `## ${name.charAt(0).toUpperCase()}${name.slice(1)}`,
      "",
      "| code | HTTP | exit | what happened |",
      "|---|---|---|---|",
      ...rows(codes),
    ]),
    "",
  ].join("\n");
}

const stale: string[] = [];
function put(path: string, text: string): void {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  stale.push(path);
  if (!check) writeFileSync(path, text);
}

put(`${folder}/README.md`, writeIndex());
for (const code of Object.keys(errorTable) as ErrorCode[]) {
  const path = `${folder}/${code}.md`;
  if (!existsSync(path)) continue;
  const text = readFileSync(path, "utf8");
  const body = text.indexOf("## Cause");
  if (body >= 0) put(path, headOf(code) + text.slice(body));
}
for (const path of stale) console.log(check ? `${path} is out of date` : `wrote ${path}`);
process.exit(check && stale.length > 0 ? 1 : 0);
