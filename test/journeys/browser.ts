// Where a Chromium is, and how it is started for journeys: without any connection of its own.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const inPath = (process.env.PATH ?? "")
  .split(delimiter)
  .flatMap((dir) => ["chromium", "google-chrome"].map((name) => join(dir, name)));

/** Path of a Chromium, or undefined where there is none. */
export const chromiumPath: string | undefined = [process.env.CHROMIUM, "/usr/bin/chromium", ...inPath].find(
  (file) => file && existsSync(file),
);

/** What a suite adds to its name where it cannot run. */
export const whySkipped: string = chromiumPath
  ? ""
  : " — SKIPPED: there is no Chromium here; install it (apt install chromium) or name one in CHROMIUM";

export const chromiumFlags: readonly string[] =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(
    " ",
  );
