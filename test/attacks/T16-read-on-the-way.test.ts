// T16: a request that was sealed for an enclave is read, altered, answered twice or answered in clear on the way.
import {
  CountersignError,
  concat,
  type EndpointPath,
  type Envelope,
  isSignedBy,
  type JsonObject,
  type Keyset,
  keysetDigest,
  type RunEvent,
  readDelivered,
  readDelivery,
  readRun,
  type Statement,
  sha256,
  sha256Hex,
  toBase64,
  utf8,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { countersign, privateKeyWallet } from "@countersign/sdk";
import { generatePrivateKey, readBalance } from "@countersign/settlement";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { send } from "../../packages/gateway/src/fixtures/world.ts";
import { ask, type Between, model, open, piecesOf, type SealedWorld, seal, startSealedWorld } from "./sealed-world.ts";

/** Words that stand nowhere but in requests. */
const secret = "Zanzibar marmalade";
let place: SealedWorld;
beforeAll(async () => {
  place = await startSealedWorld([model, "lande-50", "glove-words-100d"]);
}, 120_000);
afterEach(() => {
  place.between(undefined);
  place.attest(place.keyset);
});
afterAll(() => place.close());

const chat = (over: object = {}): JsonObject => ({
  model,
  messages: [{ role: "user", content: `Hello! ${secret}` }],
  max_tokens: 12,
  ...over,
});
const balance = () => {
  const { chain, contracts, payer } = place.world;
  return readBalance(chain.rpc, contracts.token.address, payer.address);
};
const codeIn = (text: string): string => (JSON.parse(text) as { error: { code: string } }).error.code;

/** Sends a sealed request over an altered way, and expects that nothing of it is paid. */
async function refusal(change: Between | undefined, over: object = {}, release?: "live"): Promise<string> {
  place.between(change);
  const before = await balance();
  const { text } = await ask(place, await seal(place, "/v1/chat/completions", chat(over), release));
  // What was taken before the first piece of a live stream is paid back, on the chain, behind the refusal.
  if (release === "live") await expect.poll(balance, { timeout: 10_000 }).toBe(before);
  else expect(await balance()).toBe(before);
  return text.startsWith("{") ? codeIn(text) : text;
}

/** Alters each event, or leaves it out. */
const each = (change: (event: RunEvent, index: number) => RunEvent | readonly RunEvent[]): Between =>
  async function* (events) {
    let index = 0;
    for await (const event of events) {
      const out = change(event, index++);
      if (Array.isArray(out)) yield* out as RunEvent[];
      else yield out as RunEvent;
    }
  };

const tensors = (): JsonObject => {
  const served = place.node.context.served.find((s) => s.deployment.model.id === "lande-50");
  if (served?.engine.kind !== "onnx") throw new Error("lande-50 runs on another engine");
  const [input] = served.engine.inputs;
  const dims = (input?.dims ?? []).map((d) => (typeof d === "number" ? d : 1));
  const width = input?.type === "float32" || input?.type === "int32" ? 4 : 8;
  const base64 = toBase64(new Uint8Array(dims.reduce((a, b) => a * b, width)));
  return { model: "lande-50", inputs: { [input?.name ?? ""]: { type: input?.type ?? "", dims, base64 } } };
};

describe("a sealed request", () => {
  const cases: readonly [string, EndpointPath, () => JsonObject, "live" | "met"][] = [
    ["chat", "/v1/chat/completions", () => chat(), "met"],
    ["chat, held events", "/v1/chat/completions", () => chat({ stream: true }), "met"],
    ["chat, live events", "/v1/chat/completions", () => chat({ stream: true }), "live"],
    ["completions", "/v1/completions", () => ({ model, prompt: `Say: ${secret}`, max_tokens: 8 }), "met"],
    [
      "responses",
      "/v1/responses",
      () => ({ model, input: `Say: ${secret}`, max_output_tokens: 8, stream: true }),
      "live",
    ],
    ["embeddings", "/v1/embeddings", () => ({ model: "glove-words-100d", input: `the ${secret} house` }), "met"],
    ["tensors", "/v1/infer", tensors, "met"],
  ];
  it.each(cases)("%s: is answered, paid and checked by its client alone", async (_, path, value, release) => {
    const before = await balance();
    const sealed = await seal(place, path, value(), release);
    const { response, text } = await ask(place, sealed);
    expect(response.status, text).toBe(200);
    const { answer, extra, verdict, receipt } = await open(
      text,
      sealed,
      place,
      response.headers.get("x-countersign-receipt"),
    );
    expect(readDelivered(path, utf8(answer)).length).toBe(1);
    expect(verdict.outcome, verdict.summary).toBe("met");
    expect(verdict.findings.filter((f) => f.status === "refuted")).toEqual([]);
    for (const claim of ["request", "prompt", "output", "payment"])
      expect(
        verdict.findings.find((f) => f.claim === claim && f.status === "proven"),
        claim,
      ).toBeDefined();
    // The gateway says what it checked, and that it saw ciphertext.
    expect(extra.verdict.outcome).toBe("met");
    expect(extra.verdict.policy.judged).not.toMatch(/output|prompt|request/);
    expect(readDelivery(receipt.delivery).predicate.saw).toBe("ciphertext");
    expect(readRun(receipt.statement).predicate.channel).toMatchObject({
      keyset: keysetDigest(place.keyset),
      request: sha256Hex(utf8(sealed.body)),
    });
    expect(await balance()).toBeLessThan(before);
    // What the gateway keeps opens nothing.
    const stored = await fetch(
      new URL(`/v1/receipts/${response.headers.get("x-countersign-receipt")}`, place.world.gateway.url),
    );
    const kept = (await stored.json()) as { receipt: { holder: unknown; openings: { path: string }[] } };
    expect((kept.receipt ?? kept).holder).toBeNull();
    expect((kept.receipt ?? (kept as never)).openings.map((o) => o.path).sort()).toEqual([
      "model",
      "offer",
      "policy",
      "promptVersion",
    ]);
  });

  it("is proven confidential, where that is demanded", async () => {
    const policy = "signature & tee & confidential:tee";
    const sealed = await seal(place, "/v1/chat/completions", chat({ stream: true }), "met", policy);
    const { response, text } = await ask(place, sealed);
    expect(response.status, text).toBe(200);
    const { verdict, extra, receipt } = await open(text, sealed, place, response.headers.get("x-countersign-receipt"));
    expect(verdict.outcome, verdict.summary).toBe("met");
    expect(verdict.findings.find((f) => f.claim === "confidential")).toMatchObject({
      status: "proven",
      ground: "hardware",
    });
    // Of it the gateway decides what needs no content, by the attestation in the receipt.
    expect(extra.verdict.policy.judged).toContain("origin:hardware");
    expect(receipt.evidence).toHaveLength(1);
  });

  it.each<[string, Between, string]>([
    ["without its attestation", each((e) => (e.type === "done" ? { ...e, evidence: [] } : e)), "TEE_CHANNEL_NOT_BOUND"],
    [
      "with no evidence at all",
      each((e) => {
        if (e.type !== "done") return e;
        const { evidence: _, ...rest } = e;
        return rest;
      }),
      "ASSURANCE_NOT_MET",
    ],
  ])("that must be confidential is refused %s, uncharged", async (_, change, code) => {
    place.between(change);
    const before = await balance();
    const sealed = await seal(place, "/v1/chat/completions", chat(), "met", "signature & confidential:tee");
    expect(codeIn((await ask(place, sealed)).text)).toBe(code);
    expect(await balance()).toBe(before);
  });

  it("in clear cannot be confidential: refused before anybody pays", async () => {
    const response = await send(place.world.gateway.url, JSON.stringify(chat()), {
      headers: { "x-verification": "signature & confidential:tee" },
    });
    expect(codeIn(await response.text())).toBe("ASSURANCE_NOT_OFFERED");
  });

  it("leaves no word of request or answer with the gateway: on the wire, in its files, in its faults", async () => {
    const sealed = await seal(place, "/v1/chat/completions", chat({ stream: true, max_tokens: 24 }));
    const { response, text } = await ask(place, sealed);
    const { answer, receipt } = await open(text, sealed, place, response.headers.get("x-countersign-receipt"));
    const [output] = readDelivered("/v1/chat/completions", utf8(answer));
    const said = output?.kind === "message" ? (output.content ?? "") : "";
    expect(said.length).toBeGreaterThan(8);
    const everything = [
      text,
      JSON.stringify([...response.headers]),
      await place.written(),
      place.world.faults.map(String).join(),
    ].join("\n");
    const words = [
      secret,
      "Zanzibar",
      "marmalade",
      said,
      said.slice(0, 12),
      receipt.holder?.receiptSecret ?? "",
      toBase64(utf8(secret)).slice(0, 12),
    ];
    for (const word of words) expect(everything.includes(word), word).toBe(false);
    // The search finds what is there.
    expect((await place.written()).includes(readRun(receipt.statement).predicate.requestTag)).toBe(true);
    // Of a long row a database page may hold a part: some stretch of the kept answer is found.
    const kept = toBase64(piecesOf(text).chunks[0] as Uint8Array);
    expect((await place.written()).includes(kept.slice(100, 200))).toBe(true);
  });

  it("gives the kept answer again for the same payment, still sealed", async () => {
    const sealed = await seal(place, "/v1/chat/completions", chat());
    const { text, payment, response } = await ask(place, sealed);
    const again = await send(place.world.gateway.url, sealed.body, {
      headers: { ...sealed.headers, "payment-signature": payment },
    });
    expect(again.status).toBe(200);
    const repeated = await again.text();
    expect(JSON.parse(repeated).sealed).toEqual(JSON.parse(text).sealed);
    const id = response.headers.get("x-countersign-receipt");
    expect((await open(repeated, sealed, place, id)).verdict.outcome).toBe("met");
  });
});

describe("a gateway that alters it", () => {
  it.each<[string, Between]>([
    ["changes a chunk", each((e, i) => (e.type === "sealed" && i === 1 ? { ...e, data: flip(e.data) } : e))],
    ["leaves a chunk out", each((e, i) => (i === 1 ? [] : e))],
    ["doubles a chunk", each((e, i) => (i === 1 ? [e, e] : e))],
    // These two the client could not open: he would have paid for nothing, and nobody could tell whose fault it is.
    ["changes the nonce", each((e, i) => (e.type === "sealed" && i === 0 ? { ...e, data: flip(e.data) } : e))],
    ["changes the last chunk", lastFlipped],
  ])("%s, before the gateway's check: refused, uncharged", async (_, change) => {
    expect(await refusal(change)).toBe("OUTPUT_MISMATCH");
  });

  it("cannot hide it from the client either", async () => {
    const sealed = await seal(place, "/v1/chat/completions", chat());
    const { text } = await ask(place, sealed);
    const { nonce, chunks } = piecesOf(text);
    const opener = await sealed.openAnswer(nonce);
    const first = Uint8Array.from(chunks[0] as Uint8Array, (b, i) => (i === 40 ? b ^ 1 : b));
    await expect(opener.open(first)).rejects.toMatchObject({ code: "CHANNEL_UNOPENED" });
    const short = await sealed.openAnswer(nonce);
    await short.open(chunks[0] as Uint8Array);
    expect(() => short.end()).toThrow(expect.objectContaining({ code: "CHANNEL_TRUNCATED" }));
  });

  const altered = async (alter: (body: Record<string, unknown>, headers: Record<string, string>) => void) => {
    const sealed = await seal(place, "/v1/chat/completions", chat({ stream: true }));
    const body = JSON.parse(sealed.body) as Record<string, unknown>;
    const headers = { ...sealed.headers };
    alter(body, headers);
    const { text, response, payment } = await ask(place, { ...sealed, body: JSON.stringify(body), headers });
    return `${response.status} ${codeIn(text)}${payment === "" ? ", unpaid" : ""}`;
  };
  it.each<[string, (body: Record<string, unknown>, headers: Record<string, string>) => void, string]>([
    ["the cap", (b) => Object.assign(b, { max_tokens: 11 }), "422 CHANNEL_UNOPENED"],
    ["the stream", (b) => delete b.stream, "422 CHANNEL_UNOPENED"],
    ["the nonce", (_, h) => Object.assign(h, { "x-countersign-nonce": "ab".repeat(32) }), "422 CHANNEL_UNOPENED"],
    [
      "the policy",
      (_, h) => Object.assign(h, { "x-verification": "signature; release=signed" }),
      "422 CHANNEL_UNOPENED",
    ],
    [
      "the keyset",
      (b) => Object.assign(b.sealed as object, { keyset: "ab".repeat(32) }),
      "422 TEE_CHANNEL_NOT_BOUND, unpaid",
    ],
    [
      "the key",
      (b) => Object.assign(b.sealed as object, { key: "ab".repeat(32) }),
      "422 TEE_CHANNEL_NOT_BOUND, unpaid",
    ],
    ["no nonce at all", (_, h) => delete h["x-countersign-nonce"], "400 CHANNEL_MALFORMED, unpaid"],
    ["a policy in the body", (b) => Object.assign(b, { verification: "signature" }), "400 CHANNEL_MALFORMED, unpaid"],
    ["a level in the name", (b) => Object.assign(b, { model: `${model}:signature` }), "400 CHANNEL_MALFORMED, unpaid"],
    ["words beside it", (b) => Object.assign(b, { messages: [] }), "400 CHANNEL_MALFORMED, unpaid"],
  ])("%s on the way in: refused", async (_, alter, expected) => {
    expect(await altered(alter)).toBe(expected);
  });

  it("has it answered twice: refused the second time, under a new offer too", async () => {
    const sealed = await seal(place, "/v1/chat/completions", chat());
    expect((await ask(place, sealed)).response.status).toBe(200);
    const before = await balance();
    const again = await ask(place, sealed);
    expect(codeIn(again.text)).toBe("NONCE_REPLAYED");
    expect(await balance()).toBe(before);
  });
});

type Channel = NonNullable<Statement["channel"]>;

describe("a node that does not keep it sealed", () => {
  it.each<[string, Between, string]>([
    [
      "a piece in clear",
      each((e, i) => (i === 1 ? [{ type: "delta", choice: 0, content: "in clear" }, e] : e)),
      "CHANNEL_PLAINTEXT",
    ],
    [
      "an answer in clear",
      each((e) =>
        e.type === "done"
          ? [
              { type: "output", choice: 0, output: { kind: "message", content: "x", tool_calls: [], finish: "stop" } },
              e,
            ]
          : e,
      ),
      "CHANNEL_PLAINTEXT",
    ],
    [
      "the receipt's secret",
      each((e) => (e.type === "done" ? { ...e, receiptSecret: "ab".repeat(32) } : e)),
      "CHANNEL_PLAINTEXT",
    ],
    [
      "an opening of content",
      each((e) =>
        e.type === "done"
          ? { ...e, openings: [...e.openings, { path: "output/0", salt: "00".repeat(32), value: { bytes: "AA" } }] }
          : e,
      ),
      "CHANNEL_PLAINTEXT",
    ],
    ["no end", each((e, i) => (e.type === "sealed" && i > 2 ? [] : e)), "CHANNEL_TRUNCATED"],
    ["a nonce that is none", each((e, i) => (i === 0 ? { type: "sealed", data: "AAAA" } : e)), "CHANNEL_MALFORMED"],
    ["bytes that are none", each((e, i) => (i === 1 ? { type: "sealed", data: "!" } : e)), "CHANNEL_MALFORMED"],
  ])("%s: refused loudly, uncharged", async (_, change, code) => {
    expect(await refusal(change)).toBe(code);
  });

  it.each<[string, (channel: Channel) => Channel | undefined, string]>([
    ["no channel", () => undefined, "CHANNEL_PLAINTEXT"],
    ["another keyset", (c) => ({ ...c, keyset: "ab".repeat(32) }), "TEE_CHANNEL_NOT_BOUND"],
    ["another key", (c) => ({ ...c, key: "ab".repeat(32) }), "TEE_CHANNEL_NOT_BOUND"],
    ["another body", (c) => ({ ...c, request: "ab".repeat(32) }), "REQUEST_MISMATCH"],
    ["another answer", (c) => ({ ...c, answer: "ab".repeat(32) }), "OUTPUT_MISMATCH"],
  ])("signs %s: refused, uncharged", async (_, change, code) => {
    const lie = place.restate(({ channel, ...statement }) => {
      const next = change(channel as Channel);
      return { ...statement, ...(next && { channel: next }) };
    });
    expect(await refusal(lie)).toBe(code);
  });

  it.each<[string, Between]>([
    ["a chunk", each((e, i) => (e.type === "sealed" && i === 1 ? { ...e, data: flip(e.data) } : e))],
    ["the nonce", each((e, i) => (e.type === "sealed" && i === 0 ? { ...e, data: flip(e.data) } : e))],
    ["the last chunk", lastFlipped],
  ])("breaks off a live stream where %s was changed, and the money comes back", async (_, change) => {
    const cut = await refusal(change, { stream: true }, "live");
    expect(cut).toContain("OUTPUT_MISMATCH");
    expect(cut).not.toContain("[DONE]");
  });

  it("answers in clear altogether: refused, and no word of it leaves", async () => {
    const before = await balance();
    place.between(async function* () {
      yield { type: "delta", choice: 0, content: "Forty-two herrings" };
    });
    const sealed = await seal(place, "/v1/chat/completions", chat({ stream: true }));
    const { text } = await ask(place, sealed);
    expect(codeIn(text)).toBe("CHANNEL_PLAINTEXT");
    expect(text).not.toContain("herrings");
    expect(await balance()).toBe(before);
  });
});

describe("the SDK", () => {
  const policy = "signature & tee & confidential:tee";
  const open = async (way: typeof fetch = fetch) => {
    const key = generatePrivateKey();
    const wallet = privateKeyWallet(key);
    await place.world.fund(wallet.address, 100_000n);
    const { url } = place.world.gateway;
    return countersign({
      gateway: url,
      trust: place.trust,
      allowDevelopment: true,
      wallet,
      policy,
      fetch: way,
      budget: { perRequest: 10_000n, total: 100_000n },
    });
  };

  it("checks the enclave, seals, pays and opens by itself, and proves the answer confidential", async () => {
    const client = await open();
    const { text, verdict } = await client.chat(chat());
    expect(text?.length).toBeGreaterThan(3);
    expect(verdict.outcome, verdict.summary).toBe("met");
    expect(verdict.findings.find((f) => f.claim === "confidential")?.status).toBe("proven");
    const stream = await client.stream(chat({ max_tokens: 24 }), { release: "live" });
    let said = "";
    for await (const chunk of stream)
      said += (chunk as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? "";
    expect((await stream.judged).verdict.outcome).toBe("met");
    const written = await place.written();
    for (const word of [secret, said, text ?? ""]) expect(written.includes(word)).toBe(false);
  });

  it.each<[string, Between, RegExp]>([
    [
      "a piece in clear",
      each((e, i) => (i === 1 ? [{ type: "delta", choice: 0, content: "x" }, e] : e)),
      /CHANNEL_PLAINTEXT/,
    ],
    [
      "an altered chunk",
      each((e, i) => (e.type === "sealed" && i === 1 ? { ...e, data: flip(e.data) } : e)),
      /OUTPUT_MISMATCH/,
    ],
    ["an altered last chunk", lastFlipped, /OUTPUT_MISMATCH/],
  ])("refuses %s", async (_, change, code) => {
    const client = await open();
    place.between(change);
    const error = await client.chat(chat()).catch((e: unknown) => e);
    expect(JSON.stringify([(error as { code?: string }).code, String(error), (error as Error).cause])).toMatch(code);
  });

  it.each(["nonce", "last chunk"])(
    "who is given another %s after he paid holds two signatures against it",
    async (what) => {
      let honest = "";
      let again: (() => Promise<string>) | undefined;
      const client = await open(async (url, init) => {
        const response = await fetch(url, init);
        if (!response.ok || !new Headers(init?.headers).has("payment-signature")) return response;
        honest = await response.text();
        again = async () => (await fetch(url, init)).text();
        const body = JSON.parse(honest);
        if (what === "nonce") body.sealed.nonce = flip(body.sealed.nonce, "hex");
        else body.sealed.chunks.push(flip(body.sealed.chunks.pop()));
        return new Response(JSON.stringify(body), { status: 200, headers: response.headers });
      });
      const error = await client.chat(chat()).catch((e: unknown) => e);
      if (!CountersignError.is(error, "CHANNEL_UNOPENED"))
        throw new Error(`expected CHANNEL_UNOPENED: ${String(error)}`);
      const { came, signed, statement, delivery } = error.detail.facts as Record<"statement" | "delivery", Envelope> &
        Record<string, unknown>;
      const run = readRun(statement);
      expect(isSignedBy(statement, run.predicate.issuer, nodeSuite)).toBe(true);
      expect(isSignedBy(delivery, place.world.gateway.deps.identity.key, nodeSuite)).toBe(true);
      expect(readDelivery(delivery)).toMatchObject({ subject: run.subject, predicate: { saw: "ciphertext" } });
      expect(run.predicate.channel?.answer).toBe(signed);
      expect(came).not.toBe(signed);
      // An honest gateway shows what it countersigned to whoever comes with the payment.
      const kept = piecesOf((await again?.()) ?? "");
      expect(kept.chunks).toEqual(piecesOf(honest).chunks);
      expect(sha256Hex(concat(kept.nonce, ...kept.chunks.map(sha256)))).toBe(signed);
    },
  );
});

/** Alters the chunk behind the signed end: the one with the holder's part. */
async function* lastFlipped(events: AsyncIterable<RunEvent>): AsyncIterable<RunEvent> {
  let ended = false;
  for await (const event of events) {
    ended ||= event.type === "done";
    yield ended && event.type === "sealed" ? { ...event, data: flip(event.data) } : event;
  }
}

describe("no enclave for it", () => {
  it("is refused before anybody pays", async () => {
    const sealed = await seal(place, "/v1/chat/completions", chat());
    const refused = async () => {
      const { text, payment } = await ask(place, sealed);
      expect(payment).toBe("");
      return codeIn(text);
    };
    place.attest(undefined);
    expect(await refused()).toBe("NODE_NOT_ATTESTED");
    place.attest({ ...place.keyset, notAfter: place.keyset.notAfter + 1 } satisfies Keyset);
    expect(await refused()).toBe("TEE_CHANNEL_NOT_BOUND");
  });
});

function flip(data: string, as: "base64" | "hex" = "base64"): string {
  const bytes = Buffer.from(data, as);
  bytes[30] = (bytes[30] as number) ^ 1;
  return bytes.toString(as);
}
