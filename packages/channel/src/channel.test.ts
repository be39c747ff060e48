import { type CountersignError, concat, sha256, toHex, utf8 } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AnswerOpener, makeOpener, makeSealer } from "./answer.ts";
import { type ChunkKind, longestChunk, padding, readChunk, writeChunk } from "./chunk.ts";
import { channelKeyPair, openRequest, sealRequest } from "./request.ts";

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "opened",
    (error: CountersignError) => error.code ?? String(error),
  );
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "opened";
  } catch (error) {
    return (error as CountersignError).code ?? String(error);
  }
};
const flip = (bytes: Uint8Array, bit: number) => {
  const out = bytes.slice();
  out[bit >> 3] = (out[bit >> 3] as number) ^ (1 << (bit & 7));
  return out;
};

const keys = await channelKeyPair(new Uint8Array(32).fill(7));
const other = await channelKeyPair(new Uint8Array(32).fill(8));
const aad = utf8("model, nonce, policy");

async function exchange(contents: readonly Uint8Array[]) {
  const sealed = await sealRequest({ key: keys.key, aad, body: utf8("{}") });
  const opened = await openRequest({ keys, enc: sealed.enc, ciphertext: sealed.ciphertext, aad });
  const sealer = await opened.sealAnswer();
  const chunks: Uint8Array[] = [];
  for (const content of contents) chunks.push(await sealer.seal(content, "text"));
  chunks.push(await sealer.seal(utf8('{"private":true}'), "private"));
  return { sealed, sealer, chunks, open: () => sealed.openAnswer(sealer.nonce) };
}

async function readAll(opener: AnswerOpener, chunks: readonly Uint8Array[]) {
  const out: { kind: ChunkKind; content: Uint8Array }[] = [];
  for (const chunk of chunks) out.push(await opener.open(chunk));
  opener.end();
  return out;
}

describe("request", () => {
  test("opens as it was sealed, whatever it holds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.uint8Array({ maxLength: 200 }), async (body, bound) => {
        const { enc, ciphertext } = await sealRequest({ key: keys.key, aad: bound, body });
        const opened = await openRequest({ keys, enc, ciphertext, aad: bound });
        expect(toHex(opened.body)).toBe(toHex(body));
        expect(ciphertext.length).toBe(body.length + 16);
      }),
      { numRuns: 25 },
    );
  });

  test("a flip of any bit of key, ciphertext or what it is bound to does not open", async () => {
    const { enc, ciphertext } = await sealRequest({ key: keys.key, aad, body: utf8("a body") });
    const parts = { enc, ciphertext, aad };
    for (const name of ["enc", "ciphertext", "aad"] as const) {
      for (let bit = 0; bit < 8 * parts[name].length; bit++) {
        const changed = { ...parts, [name]: flip(parts[name], bit) };
        expect(await code(openRequest({ keys, ...changed })), `${name} bit ${bit}`).toBe("CHANNEL_UNOPENED");
      }
    }
    expect(await code(openRequest({ keys, ...parts }))).toBe("opened");
  });

  test("another key, a cut text, a key of small order or none do not open", async () => {
    const { enc, ciphertext } = await sealRequest({ key: keys.key, aad, body: utf8("a body") });
    expect(await code(openRequest({ keys: other, enc, ciphertext, aad }))).toBe("CHANNEL_UNOPENED");
    expect(await code(openRequest({ keys, enc, ciphertext: ciphertext.slice(1), aad }))).toBe("CHANNEL_UNOPENED");
    expect(await code(openRequest({ keys, enc, ciphertext: new Uint8Array(), aad }))).toBe("CHANNEL_UNOPENED");
    const zero = openRequest({ keys, enc: new Uint8Array(32), ciphertext, aad });
    await expect(zero).rejects.toMatchObject({
      code: "CHANNEL_UNOPENED",
      detail: { why: expect.stringContaining("full order") },
    });
    expect(await code(openRequest({ keys, enc: enc.slice(1), ciphertext, aad }))).toBe("CHANNEL_UNOPENED");
    expect(await code(sealRequest({ key: new Uint8Array(32), aad, body: enc }))).toBe("CHANNEL_MALFORMED");
    expect(await code(sealRequest({ key: new Uint8Array(31).fill(9), aad, body: enc }))).toBe("CHANNEL_MALFORMED");
    expect(await code(channelKeyPair(new Uint8Array(31)))).toBe("CHANNEL_MALFORMED");
  });

  test("views into larger buffers are sealed and opened alone", async () => {
    const large = utf8("before a body after");
    const body = large.subarray(7, 13);
    const { enc, ciphertext } = await sealRequest({ key: concat(keys.key, aad).subarray(0, 32), aad, body });
    const wire = concat(enc, ciphertext, enc);
    const opened = await openRequest({
      keys,
      enc: wire.subarray(0, 32),
      ciphertext: wire.subarray(32, 32 + ciphertext.length),
      aad,
    });
    expect(new TextDecoder().decode(opened.body)).toBe("a body");
  });

  test("two seals of one body share nothing", async () => {
    const one = await sealRequest({ key: keys.key, aad, body: utf8("a body") });
    const two = await sealRequest({ key: keys.key, aad, body: utf8("a body") });
    expect(toHex(one.enc)).not.toBe(toHex(two.enc));
    expect(toHex(one.ciphertext)).not.toBe(toHex(two.ciphertext));
  });
});

describe("answer", () => {
  test("opens as it was sealed, chunk for chunk, with one digest on both sides", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 1500 }), { maxLength: 5 }), async (contents) => {
        const { chunks, sealer, open } = await exchange(contents);
        const opener = await open();
        const read = await readAll(opener, chunks);
        expect(read.map((r) => r.kind)).toEqual([...contents.map(() => "text"), "private"]);
        expect(read.slice(0, -1).map((r) => toHex(r.content))).toEqual(contents.map(toHex));
        expect(opener.digest()).toBe(sealer.digest());
        expect(sealer.digest()).toBe(toHex(sha256(concat(sealer.nonce, ...chunks.map(sha256)))));
      }),
      { numRuns: 25 },
    );
  });

  test("a flip of any bit of a chunk or the nonce does not open, and nothing after it does", async () => {
    const { sealed, sealer, chunks } = await exchange([utf8("one")]);
    const [text, last] = chunks as [Uint8Array, Uint8Array];
    // Every bit of the head and the tag; in between every 7th.
    for (let bit = 0; bit < 8 * text.length; bit += bit < 64 || bit >= 8 * (text.length - 16) ? 1 : 7) {
      const opener = await sealed.openAnswer(sealer.nonce);
      expect(await code(opener.open(flip(text, bit))), `bit ${bit}`).toBe("CHANNEL_UNOPENED");
      expect(await code(opener.open(text))).toBe("CHANNEL_UNOPENED");
      expect(codeOf(() => opener.end())).toBe("CHANNEL_TRUNCATED");
    }
    for (let bit = 0; bit < 256; bit++) {
      const opener = await sealed.openAnswer(flip(sealer.nonce, bit));
      expect(await code(opener.open(text))).toBe("CHANNEL_UNOPENED");
    }
    expect(await code(sealed.openAnswer(sealer.nonce.slice(1)))).toBe("CHANNEL_MALFORMED");
    const opener = await sealed.openAnswer(sealer.nonce);
    await opener.open(text);
    expect(await code(opener.open(flip(last, 0)))).toBe("CHANNEL_UNOPENED");
    // A gap is no place to go on from, though what stands behind it would open.
    const behind = await sealed.openAnswer(sealer.nonce);
    expect(await code(behind.open(flip(text, 0)))).toBe("CHANNEL_UNOPENED");
    expect(await code(behind.open(last))).toBe("CHANNEL_UNOPENED");
    expect(codeOf(() => behind.end())).toBe("CHANNEL_TRUNCATED");
  });

  test("the digest is over all that came: a flip anywhere, also in nonce or last chunk, is another one", async () => {
    const { sealed, sealer, chunks } = await exchange([utf8("one"), utf8("two")]);
    const digestOf = async (nonce: Uint8Array, came: readonly Uint8Array[]) => {
      const opener = await sealed.openAnswer(nonce);
      await Promise.allSettled(came.map((chunk) => opener.open(chunk)));
      return opener.digest();
    };
    expect(await digestOf(sealer.nonce, chunks)).toBe(sealer.digest());
    const changed = [
      await digestOf(flip(sealer.nonce, 5), chunks),
      ...(await Promise.all(
        chunks.map((_, at) =>
          digestOf(
            sealer.nonce,
            chunks.map((c, i) => (i === at ? flip(c, 8 * 30) : c)),
          ),
        ),
      )),
      await digestOf(sealer.nonce, chunks.slice(0, -1)),
    ];
    expect(new Set([sealer.digest(), ...changed]).size).toBe(changed.length + 1);
  });

  test("dropped, doubled, swapped, cut: every other order of chunks is refused", async () => {
    const contents = ["one", "two", "three"].map(utf8);
    const { chunks, open } = await exchange(contents);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: chunks.length - 1 }), { maxLength: 6 }), async (order) => {
        const picked = order.map((i) => chunks[i] as Uint8Array);
        const right = order.join() === chunks.map((_, i) => i).join();
        const prefix = order.every((n, i) => n === i) && order.length < chunks.length;
        const result = await code(open().then((opener) => readAll(opener, picked)));
        const behind = order.slice(0, chunks.length).join() === chunks.map((_, i) => i).join();
        expect(result).toBe(
          right ? "opened" : prefix ? "CHANNEL_TRUNCATED" : behind ? "CHANNEL_MALFORMED" : "CHANNEL_UNOPENED",
        );
      }),
      {
        numRuns: 150,
        examples: [[[0, 1, 2, 3]], [[0, 1, 2]], [[]], [[0, 1, 2, 3, 3]], [[3]], [[0, 2, 3]], [[1, 0, 2, 3]]],
      },
    );
  });

  test("an answer to another request does not open, and neither does its own request's text", async () => {
    const one = await exchange([utf8("one")]);
    const two = await exchange([utf8("one")]);
    expect(await code((await two.sealed.openAnswer(one.sealer.nonce)).open(one.chunks[0] as Uint8Array))).toBe(
      "CHANNEL_UNOPENED",
    );
    expect(await code((await one.open()).open(one.sealed.ciphertext))).toBe("CHANNEL_UNOPENED");
  });

  test("nothing is sealed after the last chunk, and one request has one answer", async () => {
    const { sealer } = await exchange([]);
    expect(await code(sealer.seal(utf8("more"), "text"))).toBe("CHANNEL_MALFORMED");
    expect(await code(sealer.seal(utf8("more"), "private"))).toBe("CHANNEL_MALFORMED");
    const { enc, ciphertext } = await sealRequest({ key: keys.key, aad, body: utf8("{}") });
    const opened = await openRequest({ keys, enc, ciphertext, aad });
    await opened.sealAnswer();
    expect(await code(opened.sealAnswer())).toBe("CHANNEL_MALFORMED");
  });

  test("overlapping calls keep the order of calls", async () => {
    const { sealed } = await exchange([]);
    const { enc, ciphertext } = sealed;
    const opened = await openRequest({ keys, enc, ciphertext, aad });
    const sealer = await opened.sealAnswer();
    const texts = Array.from({ length: 20 }, (_, i) => new Uint8Array(i % 2 ? 40_000 : 3).fill(i));
    const sealedAll = await Promise.all([
      ...texts.map((t) => sealer.seal(t, "text")),
      sealer.seal(utf8("{}"), "private"),
    ]);
    const opener = await sealed.openAnswer(sealer.nonce);
    const read = await Promise.all(sealedAll.map((chunk) => opener.open(chunk)));
    expect(read.slice(0, -1).map((r) => toHex(r.content))).toEqual(texts.map(toHex));
    expect(opener.digest()).toBe(sealer.digest());
  });

  test("a key is spent before its counter turns over", async () => {
    const secrets = { key: new Uint8Array(32).fill(1), iv: new Uint8Array(12).fill(2) };
    const sealer = await makeSealer(secrets, new Uint8Array(32), 2 ** 32 - 1);
    const opener = await makeOpener(secrets, new Uint8Array(32), 2 ** 32 - 1);
    const chunk = await sealer.seal(utf8("one"), "text");
    expect((await opener.open(chunk)).kind).toBe("text");
    expect(await code(sealer.seal(utf8("two"), "text"))).toBe("CHANNEL_MALFORMED");
    expect(await code(opener.open(chunk))).toBe("CHANNEL_MALFORMED");
  });
});

describe("chunk", () => {
  test("has one way to be written and tells its size only in steps", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), fc.constantFrom("text", "private"), (content, kind) => {
        const bytes = writeChunk(content, kind as ChunkKind);
        expect(bytes.length % padding).toBe(0);
        expect(bytes.length - content.length).toBeLessThan(padding + 5);
        const read = readChunk(bytes);
        expect(read.kind).toBe(kind);
        expect(toHex(read.content)).toBe(toHex(content));
      }),
    );
    const sizes = Array.from({ length: padding - 5 }, (_, i) => writeChunk(new Uint8Array(i), "text").length);
    expect(new Set(sizes)).toEqual(new Set([padding]));
  });

  test.each([
    ["an unknown kind", (b: Uint8Array) => b.fill(2, 0, 1)],
    ["padding that is not zero", (b: Uint8Array) => b.fill(1, 511)],
    ["a length past its end", (b: Uint8Array) => b.fill(255, 1, 5)],
    ["more padding than needed", (b: Uint8Array) => concat(b, new Uint8Array(padding))],
    ["too few bytes", (b: Uint8Array) => b.subarray(0, 4)],
    ["no bytes", () => new Uint8Array()],
  ])("refuses %s", (_, change) => {
    expect(codeOf(() => readChunk(change(writeChunk(utf8("text"), "text"))))).toBe("CHANNEL_MALFORMED");
  });

  test("refuses more than fits", () => {
    expect(codeOf(() => writeChunk(new Uint8Array(longestChunk + 1), "text"))).toBe("CHANNEL_MALFORMED");
  });

  test("refuses a private part without the end mark, and an end mark on text", async () => {
    const secrets = { key: new Uint8Array(32).fill(1), iv: new Uint8Array(12).fill(2) };
    const key = await crypto.subtle.importKey("raw", secrets.key, "AES-GCM", false, ["encrypt"]);
    const seal = async (kind: ChunkKind, additionalData: Uint8Array<ArrayBuffer>) =>
      new Uint8Array(
        await crypto.subtle.encrypt(
          { name: "AES-GCM", iv: secrets.iv, additionalData },
          key,
          writeChunk(utf8("{}"), kind),
        ),
      );
    const end = utf8("final") as Uint8Array<ArrayBuffer>;
    for (const chunk of [await seal("private", new Uint8Array()), await seal("text", end)]) {
      const opener = await makeOpener(secrets, new Uint8Array(32));
      expect(await code(opener.open(chunk))).toBe("CHANNEL_MALFORMED");
      expect(codeOf(() => opener.end())).toBe("CHANNEL_TRUNCATED");
    }
    const opener = await makeOpener(secrets, new Uint8Array(32));
    expect((await opener.open(await seal("private", end))).kind).toBe("private");
  });
});
