// The private channel whole: the SDK, a gateway and a node over HTTP, with a language model behind the sealed request. The
// enclave's document is in the Nitro format under a root of this test's own.
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  attestationBytes,
  type Envelope,
  type Hex,
  type Json,
  type Keyset,
  keysetBinding,
  keysetDigest,
  measurementId,
  sha256Hex,
  signRegistration,
  type Trust,
  toBase64,
  toHex,
} from "@countersign/core";
import { ed25519Signer, generateSeed, nodeSuite } from "@countersign/core/node";
import { foldModels } from "@countersign/evidence-tee";
import { makeNitroAuthority } from "@countersign/evidence-tee/make";
import { readDescription } from "@countersign/gateway";
import { defaultModels, describeNode, registerModel, run, startNode } from "@countersign/node";
import { type Client, countersign, type Options } from "@countersign/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorld, type World } from "../../packages/gateway/src/fixtures/world.ts";
import { channelKeyOf } from "../../packages/node/src/sealed/channel-key.ts";

const model = "countersign-pocket";
/** A word that stands nowhere but in the prompts. */
const secret = "Zanzibar";
const day = 86_400_000;
const demanded = "signature & logged & tee & confidential:hardware(scope=inference)";
let world: World;
let dir: string;
let trust: Trust;
let stop: () => Promise<void>;

type Enclave = NonNullable<NonNullable<Parameters<typeof startNode>[2]>["enclave"]>;

beforeAll(async () => {
  world = await startWorld();
  const { network } = world.trust;
  dir = await mkdtemp(join(tmpdir(), "countersign-sealed-journey-"));
  const publisher = ed25519Signer(generateSeed());
  const seed = generateSeed();
  const key = toHex(ed25519Signer(seed).publicKey);
  const channel = await channelKeyOf(new Uint8Array(randomBytes(32)), () => keysetDigest(keyset()));
  const authority = makeNitroAuthority({ now: Date.now() });
  const pcrs = [0, 1, 2].map((i) => [i, new Uint8Array(48).fill(i + 1)] as const);
  const named = defaultModels(join(dir, "cache")).find((m) => m.id === model);
  if (!named) throw new Error(`${model} is not among the default models.`);
  await registerModel(join(dir, "catalogue"), named, publisher);

  let models: readonly Hex[] = [];
  let registration: Envelope | undefined;
  const ends = Date.now() + day / 2;
  const keyset = (): Keyset => ({
    suite: "countersign/keyset/v1",
    network,
    scope: "inference",
    notAfter: ends,
    models: [...models],
    gpus: 0,
    keys: [
      { use: "channel", algorithm: "x25519", key: channel.key },
      { use: "receipt", algorithm: "ed25519", key },
    ],
  });
  const attest = (nonce: Hex | null): Uint8Array => {
    const document = authority.document({
      at: Date.now(),
      userData: keysetBinding(keysetDigest(keyset()), nonce),
      nonce: null,
      publicKey: null,
      pcrs: new Map([...pcrs, [16, foldModels(models)]]),
    });
    return attestationBytes({
      suite: "countersign/attestation/v1",
      keyset: keyset(),
      nonce,
      evidence: [{ format: "nitro", document: toBase64(document) }],
      collateral: [],
      provenance: [],
      madeAt: Date.now(),
    });
  };
  const enclave: Enclave = {
    current: () => ({ keyset: keyset(), digest: keysetDigest(keyset()), attestation: attest(null) }),
    channel: () => channel,
    attest: async (nonce) => attest(nonce),
    registration: () => registration,
    register: async () => undefined,
  };
  const node = await startNode(
    {
      operator: "sealed node",
      network,
      gateways: [world.gateway.deps.identity.key],
      publishers: [toHex(publisher.publicKey)],
      catalogue: join(dir, "catalogue"),
      state: join(dir, "state"),
      deployments: [
        { model, ...named.deployment, guarantees: ["signature", "tee & signature"], labels: ["development"] },
      ],
    },
    { seed, token: "a-token-for-tests-only" },
    { enclave },
  );
  models = node.context.served.map((s) => s.deployment.model.digest).sort();
  registration = signRegistration(
    {
      suite: "countersign/registration/v1",
      network,
      registrar: toHex(world.registrar.publicKey),
      role: "node",
      key,
      operator: "sealed-node",
      notBefore: 0,
      notAfter: Date.now() + day,
      attested: {
        keyset: keysetDigest(keyset()),
        attestation: sha256Hex(attest(null)),
        custody: "self-hosted",
        custodyGround: "contract",
      },
    },
    world.registrar,
  );
  trust = {
    ...world.trust,
    publishers: [{ name: "mine", key: toHex(publisher.publicKey) }],
    hardware: [
      {
        format: "nitro",
        root: authority.rootDigest,
        assurance: "simulated",
        measurements: [measurementId("nitro", Object.fromEntries(pcrs.map(([i, r]) => [`pcr${i}`, toHex(r)])))],
        revoked: [],
        tcb: { statuses: [], advisories: [], floors: {} },
        custody: ["self-hosted"],
        provenance: false,
      },
    ],
  };
  const { deps } = world.gateway;
  const described = await describeNode(node.context, { operator: "sealed node", registration });
  const { served, faults } = readDescription(described, "inside:", { ...deps, trust });
  if (served.length !== 1) throw new Error(JSON.stringify(faults));
  Object.assign(deps, {
    trust,
    catalogue: { ...deps.catalogue, served: () => served },
    runOnNode: (_: string, job: unknown, signal: AbortSignal) => run(job, node.context, signal),
    checkOnNode: undefined,
    challenge: async (_: string, nonce: Hex) => ({ attestation: toBase64(attest(nonce)), registration }),
  });
  stop = () => node.close();
}, 120_000);

afterAll(async () => {
  await stop?.();
  await world?.close();
  await rm(dir, { recursive: true, force: true });
});

/** A client, and all that it sent and got over HTTP. */
function connect(more: Partial<Options> = {}): { client: Client; wire: string[] } {
  const wire: string[] = [];
  const client = countersign({
    gateway: world.gateway.url,
    trust,
    wallet: world.payer,
    budget: { perRequest: 1_000_000, total: 10_000_000 },
    policy: demanded,
    allowDevelopment: true,
    suite: nodeSuite,
    fetch: async (url, init) => {
      if (init.body instanceof Uint8Array) wire.push(new TextDecoder().decode(init.body));
      const response = await fetch(url, init);
      const [mine, theirs] = response.body?.tee() ?? [null, null];
      if (mine)
        void new Response(mine).text().then(
          (text) => wire.push(text),
          () => undefined,
        );
      return new Response(theirs, response);
    },
    ...more,
  });
  return { client, wire };
}

const messages: Json[] = [{ role: "user", content: `Where is ${secret}?` }];

async function filesOf(folder: string): Promise<string> {
  const parts: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) parts.push(await readFile(join(entry.parentPath, entry.name), "latin1"));
  return parts.join("\n");
}

test("an answer travels sealed, `confidential` is proven, and the gateway read nothing", async () => {
  const { client, wire } = connect();
  const answer = await client.chat({ model, messages: messages as never, max_tokens: 8, seed: 1 });
  expect(answer.text).toBeTypeOf("string");
  expect(answer.verdict.outcome).toBe("met");
  const found = answer.verdict.findings.find((f) => f.claim === "confidential");
  expect(found).toMatchObject({ status: "proven", ground: "hardware", development: true });
  expect(client.verify(answer.receipt, undefined, demanded).outcome).toBe("met");
  expect(answer.payment?.amount).toBe(String(client.spending().spent));
  expect(client.spending().spent).toBeGreaterThan(0n);
  expect(answer.receipt.openings.some((o) => o.path === "rawRequest")).toBe(true);
  expect(wire.join("\n")).not.toContain(secret);
  expect(await filesOf(world.config.dataDir)).not.toContain(secret);
  expect(await filesOf(join(dir, "state"))).not.toContain(secret);
});

test("a stream, held and live, says the same as the answer in one piece", async () => {
  for (const release of ["met", "live"] as const) {
    const { client, wire } = connect();
    const asked = { model, messages: messages as never, max_tokens: 8, temperature: 0 };
    const whole = await client.chat(asked);
    const stream = await client.stream(asked, { release });
    let text = "";
    for await (const chunk of stream) {
      const [choice] = chunk.choices as { delta?: { content?: string } }[];
      text += choice?.delta?.content ?? "";
    }
    expect(text).toBe(whole.text);
    expect((await stream.judged).verdict.outcome).toBe("met");
    expect(wire.join("\n")).not.toContain(secret);
  }
});

test("the same endpoint serves whoever seals nothing, and refuses him the claim before he pays", async () => {
  const { client } = connect({ policy: "signature & logged" });
  const answer = await client.chat({ model, messages: messages as never, max_tokens: 4 });
  expect(answer.verdict.findings.some((f) => f.claim === "confidential" && f.status === "proven")).toBe(false);
  const clear = await fetch(`${world.gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-verification": demanded },
    body: JSON.stringify({ model, messages, max_tokens: 4 }),
  });
  expect(clear.status).not.toBe(200);
  expect(await clear.json()).toMatchObject({ error: { code: "ASSURANCE_NOT_OFFERED" } });
});

test("whose trust names no such hardware sends nothing", async () => {
  const { client, wire } = connect({ trust: { ...trust, hardware: [] } });
  await expect(client.chat({ model, messages: messages as never })).rejects.toMatchObject({
    code: "TEE_SIMULATED_NOT_ALLOWED",
  });
  expect(wire.join("\n")).not.toContain("sealed");
});
