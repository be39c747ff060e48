// The private channel against the same AES-256-GCM alone (spec/channel.md §8). Sealing runs on threads of the platform, so
// what is counted is the CPU time of the whole process: bytes a second on one core, hardly moved by other load.
import {
  channelAad,
  channelKeyPair,
  openRequest,
  parseSealedBody,
  sealRequest,
  writeSealedBody,
} from "../packages/channel/src/index.ts";
import { utf8 } from "../packages/core/src/index.ts";
import "../packages/core/src/node.ts";
import { type Row, row } from "./harness/row.ts";

const leastMegabytes = 200;
/** Milliseconds of both sides' work for a small request and its answer. */
const mostMilliseconds = 5;
const turns = 7;
const repeats = 30;
const digest = "ab".repeat(32);

/** CPU milliseconds of one piece of work: the median of the turns. */
async function cost(work: () => Promise<void> | void): Promise<number> {
  await work();
  const times: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
  }
  return times.toSorted((x, y) => x - y)[turns >> 1] as number;
}

/** Megabytes a second. */
const speed = async (bytes: number, work: () => Promise<void> | void): Promise<number> =>
  bytes / 1000 / (await cost(work));

/** AES-256-GCM alone over the same pieces, one call each, by the same WebCrypto. */
async function rawSpeed(total: Uint8Array<ArrayBuffer>, size: number): Promise<number> {
  const pieces = piecesOf(total, size);
  const key = await crypto.subtle.importKey("raw", new Uint8Array(32), "AES-GCM", false, ["encrypt"]);
  return speed(total.length, async () => {
    for (const piece of pieces) await crypto.subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, piece);
  });
}

const piecesOf = <T extends Uint8Array>(total: T, size: number): T[] =>
  Array.from({ length: total.length / size }, (_, i) => total.subarray(i * size, (i + 1) * size) as T);

/** Requests of 16 MiB, answers of 32 MiB in chunks of several sizes, and the time of one small exchange. */
export async function bench(): Promise<Row[]> {
  const keys = await channelKeyPair(new Uint8Array(32).fill(7));
  const aad = channelAad({
    clear: { model: "pocket" },
    clientNonce: digest,
    keyset: digest,
    path: "/v1/chat/completions",
    demand: utf8("tee"),
  });
  const body = new Uint8Array(16 << 20).fill(0x61);
  const rows: Row[] = [];
  const add = (name: string, value: number, baseline: number) =>
    rows.push(row(name, [value, "MB/CPU-s", baseline], leastMegabytes, value >= leastMegabytes));

  const raw = await rawSpeed(body, body.length);
  const sealed = await sealRequest({ key: keys.key, aad, body });
  const { enc, ciphertext } = sealed;
  add(
    "seal a request of 16 MiB",
    await speed(body.length, async () => void (await sealRequest({ key: keys.key, aad, body }))),
    raw,
  );
  add(
    "open a request of 16 MiB",
    await speed(body.length, async () => void (await openRequest({ keys, enc, ciphertext, aad }))),
    raw,
  );
  const wire = { clear: { model: "pocket" }, keyset: digest, key: digest, enc, ciphertext };
  const text = writeSealedBody(wire);
  add("write a sealed body of 16 MiB", await speed(body.length, () => void writeSealedBody(wire)), raw);
  add("read a sealed body of 16 MiB", await speed(body.length, () => void parseSealedBody(text)), raw);

  const small = await sealRequest({ key: keys.key, aad, body: utf8("{}") });
  const answer = new Uint8Array(32 << 20).fill(0x61);
  for (const size of [64 << 10, 256 << 10, 1 << 20]) {
    const pieces = piecesOf(answer, size);
    const alone = await rawSpeed(answer, size);
    const name = `answer in chunks of ${size >> 10} KiB`;
    let chunks: Uint8Array[] = [];
    let nonce = new Uint8Array(32) as Uint8Array;
    const sealAll = async () => {
      const opened = await openRequest({ keys, enc: small.enc, ciphertext: small.ciphertext, aad });
      const sealer = await opened.sealAnswer();
      chunks = [];
      for (const piece of pieces) chunks.push(await sealer.seal(piece, "text"));
      chunks.push(await sealer.seal(utf8("{}"), "private"));
      nonce = sealer.nonce;
    };
    add(`seal an ${name}`, await speed(answer.length, sealAll), alone);
    const openAll = async () => {
      const opener = await small.openAnswer(nonce);
      for (const chunk of chunks) await opener.open(chunk);
      opener.end();
    };
    add(`open an ${name}`, await speed(answer.length, openAll), alone);
  }
  return [...rows, await smallExchange(keys, aad)];
}

/** A request of 2 KiB and an answer in two chunks, both sides in one process, against the four agreements on keys alone. */
async function smallExchange(keys: Awaited<ReturnType<typeof channelKeyPair>>, aad: Uint8Array): Promise<Row> {
  const body = new Uint8Array(2048).fill(0x61);
  const repeat = (work: () => Promise<unknown>) => async () => {
    for (let i = 0; i < repeats; i++) await work();
  };
  const exchange = async () => {
    const request = await sealRequest({ key: keys.key, aad, body });
    const opened = await openRequest({ keys, enc: request.enc, ciphertext: request.ciphertext, aad });
    const sealer = await opened.sealAnswer();
    const opener = await request.openAnswer(sealer.nonce);
    await opener.open(await sealer.seal(body, "text"));
    await opener.open(await sealer.seal(utf8("{}"), "private"));
    opener.end();
  };
  const { privateKey, publicKey } = keys.pair;
  const agree = () => crypto.subtle.deriveBits({ name: "X25519", public: publicKey }, privateKey, 256);
  const alone = (4 * (await cost(repeat(agree)))) / repeats;
  const taken = (await cost(repeat(exchange))) / repeats;
  return row("one exchange of 2 KiB", [taken, "CPU-ms", alone], mostMilliseconds, taken <= mostMilliseconds);
}
