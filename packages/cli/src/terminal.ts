import { stripVTControlCharacters, styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

const colour = process.env.NO_COLOR === undefined && process.env.TERM !== "dumb";

/** Text in a style, plain where the stream is no terminal. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return colour && stream.isTTY ? styleText(style, text, { validateStream: false }) : text;
}

/** Printable width: escape sequences count nothing. */
const width = (text: string) => stripVTControlCharacters(text).length;

/** Control characters shown, so that a document cannot move the reader's cursor or hide a line. */
export const printable = (text: string): string => text.replace(/[^\P{C}\n]/gu, "�");

/** Rows as aligned columns. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((h, i) => Math.max(width(h), ...rows.map((r) => width(r[i] ?? ""))));
  const line = (cells: readonly string[]) =>
    cells
      .map((c, i) => c + " ".repeat((widths[i] as number) - width(c)))
      .join("  ")
      .trimEnd();
  return [paint("dim", line(head)), ...rows.map(line)].join("\n");
}

/** A progress bar on standard error; silent where that is no terminal. */
export type Progress = {
  readonly update: (done: number, total: number | undefined) => void;
  readonly end: (text?: string) => void;
};

const size = (bytes: number) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** Opens a progress bar over bytes or steps. */
export function progress(label: string, unit: "bytes" | "steps" = "bytes"): Progress {
  const out = process.stderr;
  const live = out.isTTY === true;
  const show = unit === "bytes" ? size : String;
  let shown = 0;
  return {
    update(done, total) {
      const now = performance.now();
      if (!live || (now - shown < 80 && done !== total)) return;
      shown = now;
      const filled = total ? Math.round((20 * done) / total) : 0;
      const bar = total ? `${"━".repeat(filled)}${paint("dim", "━".repeat(20 - filled), out)} ` : "";
      out.write(`\r\u001b[2K${label} ${bar}${show(done)}${total ? ` of ${show(total)}` : ""}`);
    },
    end(text) {
      if (live) out.write("\r\u001b[2K");
      if (text) out.write(`${text}\n`);
    },
  };
}

/** Prints a value as JSON, on one line. */
export const printJson = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};

export const print = (text = ""): void => {
  process.stdout.write(`${text}\n`);
};

/** A note for people, kept out of standard output. */
export const note = (text: string): void => {
  process.stderr.write(`${text}\n`);
};
