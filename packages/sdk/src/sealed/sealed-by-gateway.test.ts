import {
  channelAad,
  clearPart,
  readPrivatePart,
  readSealedAnswer,
  sealRequest,
  writeSealedBody,
} from "@countersign/channel";
import {
  demandBytes,
  type EndpointPath,
  fromHex,
  fromUtf8,
  type Hex,
  type JsonObject,
  keyFor,
  keysetDigest,
  parseJsonBytes,
  readDemand,
  sha256,
  toBase64,
  utf8,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { expect, test } from "vitest";
import { at } from "../../../../test/fixtures/fake-gateway.ts";
import { sealedGateway, sealedTrust } from "../../../../test/fixtures/sealed-gateway.ts";
import { CountersignError, countersign } from "../index.ts";

/** A gateway that reads a request that came in clear, seals it itself, and answers as if the client had. */
async function readingGateway() {
  const honest = await sealedGateway({ free: true });
  const { keyset: attested } = honest;
  const read: string[] = [];
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const path = new URL(url).pathname as EndpointPath;
    if (path !== "/v1/chat/completions") return honest.fetch(url, init);
    const headers = new Headers(init.headers);
    const plain = init.body as Uint8Array;
    read.push(fromUtf8(plain));
    const clear = clearPart(parseJsonBytes(plain) as JsonObject);
    const clientNonce = headers.get("x-countersign-nonce") as Hex;
    const demand = demandBytes(readDemand({ headers: [headers.get("x-verification") ?? ""] }, { all: [] }, at / 1000));
    const [keyset, key] = [keysetDigest(attested), keyFor(attested, "channel") as Hex];
    const aad = channelAad({ clear, clientNonce, keyset, path, demand });
    const { enc, ciphertext, openAnswer } = await sealRequest({ key: fromHex(key), aad, body: plain });
    const body = writeSealedBody({ clear, keyset, key, enc, ciphertext });
    const answer = (await (await honest.fetch(url, { ...init, body: body as BodyInit })).json()) as {
      readonly countersign: { readonly receipt: { readonly openings: readonly JsonObject[] } };
    } & JsonObject;
    const { nonce, chunks } = readSealedAnswer(answer);
    const opener = await openAnswer(nonce);
    const opened = [];
    for (const chunk of chunks) opened.push((await opener.open(chunk)).content.slice());
    const { openings, receiptSecret } = readPrivatePart(opened.pop() as Uint8Array);
    const receiptId = "ab".repeat(32);
    const receipt = {
      ...answer.countersign.receipt,
      openings: [...openings, ...answer.countersign.receipt.openings],
      holder: { receiptId, receiptSecret, clientNonce },
      sealed: toBase64(body),
    };
    const told = { ...JSON.parse(opened.map(fromUtf8).join("")), countersign: { ...answer.countersign, receipt } };
    return Response.json(told, { headers: { "x-countersign-receipt": receiptId } });
  };
  return { fetch, read };
}

const body = { model: "pocket", messages: [{ role: "user", content: "Capital of France?" }], max_tokens: 16 };

function clientOf(fetch: (url: string, init: RequestInit) => Promise<Response>, policy: string) {
  let drawn = 0;
  return countersign({
    gateway: "https://gateway.test",
    trust: sealedTrust,
    policy,
    allowDevelopment: true,
    fetch,
    random: () => sha256(utf8(`draw ${drawn++}`)),
    now: () => at,
    sleep: async () => undefined,
    suite: nodeSuite,
  });
}

test.each([
  ["signature", "ASSURANCE_NOT_MET"],
  ["issuer:signature", "CHANNEL_PLAINTEXT"],
])("a request that the gateway read and then sealed itself is not taken for a sealed one: %s", async (policy, code) => {
  const { fetch, read } = await readingGateway();
  const client = clientOf(fetch, policy);
  const error = await client.chat(body).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(read[0]).toContain("France");
  if (!CountersignError.is(error)) throw new Error(`expected a refusal, got ${String(error)}`);
  expect(error.code).toBe(code);
  for (const { receipt } of await client.receipts.list()) {
    const found = client.verify(receipt, undefined, "confidential:hardware").findings;
    expect(found.find((f) => f.claim === "confidential")?.status).not.toBe("proven");
  }
});

test("what an enclave opened that asks another host is not confidential, to whoever is shown the receipt", async () => {
  const { fetch } = await sealedGateway({ free: true, keyset: (k) => ({ ...k, scope: "proxy", models: [] }) });
  const client = clientOf(fetch, "issuer:signature");
  const { receipt, verdict } = await client.chat(body, { channel: "sealed" });
  expect(verdict.findings.find((f) => f.claim === "confidential")).toMatchObject({
    status: "unproven",
    code: "TEE_SCOPE_PROXY_ONLY",
  });
  expect(client.verify(receipt, undefined, "confidential:hardware").outcome).toBe("unmet");
});
