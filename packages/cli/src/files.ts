import { readFile } from "node:fs/promises";
import {
  CountersignError,
  type Envelope,
  fromUtf8,
  noTrust,
  parseJson,
  parseReceipt,
  parseTrust,
  type Receipt,
  readRegistration,
  type Trust,
} from "@countersign/core";

/** Bytes of a file, or of standard input for "-". @throws FILE_UNREADABLE */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    if (path !== "-") return new Uint8Array(await readFile(path));
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return new Uint8Array(Buffer.concat(chunks));
  } catch (cause) {
    throw new CountersignError("FILE_UNREADABLE", {
      message: `The file ${path} cannot be read.`,
      why: (cause as NodeJS.ErrnoException).code === "ENOENT" ? "There is no such file." : (cause as Error).message,
      remedy: 'Check the path; "-" reads standard input.',
      cause,
    });
  }
}

/** Text of a file. @throws FILE_UNREADABLE */
export async function readText(path: string): Promise<string> {
  try {
    return fromUtf8(await readBytes(path));
  } catch (cause) {
    if (CountersignError.is(cause)) throw cause;
    throw new CountersignError("FILE_UNREADABLE", { message: `The file ${path} is not UTF-8 text.`, cause });
  }
}

/** A trust file, or nobody's trust when none is named. @throws TRUST_MALFORMED */
export async function readTrust(path: string | undefined): Promise<Trust> {
  return path === undefined ? noTrust : parseTrust(await readText(path));
}

/** Registrations out of files: envelopes as `countersign node register --out` keeps them. @throws STATEMENT_MALFORMED */
export const readRegistrations = (paths: readonly string[] = []): Promise<readonly Envelope[]> =>
  Promise.all(paths.map(async (path) => readRegistration(parseJson(await readText(path))).envelope));

/** A receipt out of a file: the document itself, or an answer that carries one in `countersign`. @throws RECEIPT_MALFORMED */
export async function readReceipt(path: string): Promise<Receipt> {
  const text = await readText(path);
  try {
    const value = JSON.parse(text) as { countersign?: { receipt?: unknown }; receipt?: unknown };
    const inner = value?.countersign?.receipt ?? value?.receipt;
    if (inner !== undefined) return parseReceipt(JSON.stringify(inner));
  } catch {
    // Not even JSON: the strict reader below says what is wrong.
  }
  return parseReceipt(text);
}
