// Raw documents of every format, judged as `countersign verify --evidence` judges them: by the format's required checks.
import { existsSync, readFileSync } from "node:fs";
import type { AttestationFormat } from "@countersign/core";
import { type CheckId, type DocumentArgs, formats, obstacleOf } from "@countersign/evidence-tee";

/** What keeps a document from being accepted: its code, or "accepted". */
export const refusalOfDocument = (
  format: AttestationFormat,
  args: DocumentArgs,
  more: readonly CheckId[] = [],
): string => obstacleOf(formats[format].check(args), [...formats[format].required, ...more])?.code ?? "accepted";

const folder = new URL("../../../shared/vectors/tee/", import.meta.url);
/** Whether the real captures are beside this checkout; where they are not, a test says so by its name. */
export const hasVectors = existsSync(folder);
export const vector = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(path, folder)));
