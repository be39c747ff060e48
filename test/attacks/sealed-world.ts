// A real gateway over HTTP and a real node with an attestation under a test vendor's root: all that is sealed is sealed.
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  channelAad,
  clearPart,
  readPrivatePart,
  type SealedForKey,
  sealRequest,
  writeSealedBody,
} from "@countersign/channel";
import {
  attestationBytes,
  concat,
  demandBytes,
  type EndpointPath,
  type Envelope,
  fromBase64,
  fromHex,
  fromUtf8,
  type Hex,
  type JsonObject,
  type Keyset,
  keysetBinding,
  keysetDigest,
  measurementId,
  parsePolicy,
  parseReceipt,
  type Receipt,
  type RunEvent,
  readRun,
  type Statement,
  sha256Hex,
  signRegistration,
  signRun,
  type Trust,
  type TrustedHardware,
  toBase64,
  toHex,
  utf8,
  type Verdict,
} from "@countersign/core";
import { ed25519Signer, generateSeed } from "@countersign/core/node";
import { foldModels } from "@countersign/evidence-tee";
import { makeNitroAuthority } from "@countersign/evidence-tee/make";
import { readDescription, type Served } from "@countersign/gateway";
import {
  defaultModels,
  describeNode,
  type NodeContext,
  type RunningNode,
  registerModel,
  run,
  startNode,
} from "@countersign/node";
import { decodeRequired } from "@countersign/settlement";
import { completeReceipt, verify } from "@countersign/verify";
import { send, signPayment, startWorld, type World } from "../../packages/gateway/src/fixtures/world.ts";
import { channelKeyOf } from "../../packages/node/src/sealed/channel-key.ts";

export const model = "countersign-pocket";

/** What stands between node and gateway: passes events on, or alters them. */
export type Between = (events: AsyncIterable<RunEvent>) => AsyncIterable<RunEvent>;

export type SealedWorld = {
  readonly world: World;
  readonly trust: Trust;
  readonly node: RunningNode;
  readonly keyset: Keyset;
  readonly channelKey: Hex;
  /** All that the node printed or wrote, and all that the gateway wrote. */
  readonly written: () => Promise<string>;
  between: (change: Between | undefined) => void;
  /** Signs a changed statement with the node's own key: a node that lies. */
  restate: (change: (statement: Statement) => Statement) => Between;
  /** Changes what the gateway holds attested. */
  attest: (keyset: Keyset | undefined) => void;
  readonly close: () => Promise<void>;
};

export async function startSealedWorld(models: readonly string[] = [model]): Promise<SealedWorld> {
  const world = await startWorld();
  const dir = await mkdtemp(join(tmpdir(), "countersign-sealed-"));
  const publisher = ed25519Signer(generateSeed());
  const seed = generateSeed();
  const key = toHex(ed25519Signer(seed).publicKey);
  const { network } = world.trust;
  const known = defaultModels(join(dir, "cache")).filter((m) => models.includes(m.id));
  for (const one of known) await registerModel(join(dir, "catalogue"), one, publisher);
  let inForce: ReturnType<NonNullable<NodeContext["enclave"]>["current"]> | undefined;
  let registration: Envelope | undefined;
  const current = () => inForce as NonNullable<typeof inForce>;
  const channel = await channelKeyOf(new Uint8Array(randomBytes(32)), () => current().digest);
  const channelKey = channel.key;
  const node = await startNode(
    {
      operator: "sealed node",
      network,
      gateways: [world.gateway.deps.identity.key],
      publishers: [toHex(publisher.publicKey)],
      catalogue: join(dir, "catalogue"),
      state: join(dir, "state"),
      deployments: known.map((m) => ({ model: m.id, ...m.deployment, labels: ["development"] as const })),
      enclave: {},
    },
    { seed, token: "a-token-for-tests-only" },
    {
      enclave: {
        current,
        channel: () => channel,
        attest: async () => current().attestation,
        registration: () => registration,
        register: async () => {},
      },
    },
  );
  const { context } = node;
  const keyset: Keyset = {
    suite: "countersign/keyset/v1",
    network,
    scope: "inference",
    notAfter: Date.now() + 3_600_000,
    models: context.served.map((s) => s.deployment.model.digest).sort(),
    gpus: 0,
    keys: [
      { use: "channel", algorithm: "x25519", key: channelKey },
      { use: "receipt", algorithm: "ed25519", key },
    ],
  };
  const { attest, hardware } = openVendor(keyset);
  const attestation = attest(null);
  inForce = { keyset, digest: keysetDigest(keyset), attestation };
  registration = signRegistration(
    {
      suite: "countersign/registration/v1",
      network,
      registrar: toHex(world.registrar.publicKey),
      role: "node",
      key,
      operator: "sealed node",
      notBefore: 0,
      notAfter: 253_402_300_799_999,
      attested: {
        keyset: keysetDigest(keyset),
        attestation: sha256Hex(attestation),
        custody: "named-datacentre",
        custodyGround: "contract",
      },
    },
    world.registrar,
  );
  const { deps } = world.gateway;
  const trust: Trust = {
    ...world.trust,
    publishers: [{ name: "mine", key: toHex(publisher.publicKey) }],
    hardware: [hardware],
  };
  const described = await describeNode(context, { operator: "sealed node", registration });
  const { served, faults } = readDescription(described, "inside:", { ...deps, trust });
  if (served.length !== known.length || faults.length > 0) throw new Error(JSON.stringify(faults));
  let attested: Keyset | undefined = keyset;
  let between: Between = (events) => events;
  Object.assign(deps, {
    trust,
    catalogue: {
      ...deps.catalogue,
      served: (): readonly Served[] =>
        served.map((s) => ({
          ...s,
          attestation: attested &&
            s.attestation && { ...s.attestation, keyset: attested, keysetDigest: keysetDigest(attested) },
        })),
    },
    runOnNode: (_: string, job: unknown, signal: AbortSignal) => between(run(job, context, signal)),
    checkOnNode: undefined,
    challenge: async (_: string, nonce: Hex) => ({ attestation: toBase64(attest(nonce)), registration }),
  });
  return {
    world,
    trust,
    node,
    keyset,
    channelKey,
    written: async () => `${await filesOf(world.config.dataDir)}\n${await filesOf(join(dir, "state"))}`,
    between: (change) => {
      between = change ?? ((events) => events);
    },
    restate: (change) =>
      async function* (events) {
        for await (const event of events) {
          if (event.type !== "done") yield event;
          else {
            const { subject, predicate } = readRun(event.statement);
            yield { ...event, statement: signRun(subject, change(predicate), ed25519Signer(seed)) };
          }
        }
      },
    attest: (next) => {
      attested = next;
    },
    close: async () => {
      await node.close();
      await world.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** An attestation of a keyset under a root that plays a vendor's, and what a trust file says of that root. */
function openVendor(keyset: Keyset): {
  readonly attest: (nonce: Hex | null) => Uint8Array;
  readonly hardware: TrustedHardware;
} {
  const authority = makeNitroAuthority({ now: Date.now(), subjectPrefix: "Test vendor" });
  const code = [1, 2, 3].map((n) => new Uint8Array(48).fill(n));
  const [pcr0, pcr1, pcr2] = code as [Uint8Array, Uint8Array, Uint8Array];
  const attest = (nonce: Hex | null) => {
    const at = Date.now();
    const document = authority.document({
      at,
      userData: keysetBinding(keysetDigest(keyset), nonce),
      nonce: null,
      publicKey: null,
      pcrs: new Map([...code.entries(), [16, foldModels(keyset.models)]]),
    });
    return attestationBytes({
      suite: "countersign/attestation/v1",
      keyset,
      nonce,
      evidence: [{ format: "nitro", document: toBase64(document) }],
      collateral: [],
      provenance: [],
      madeAt: at,
    });
  };
  return {
    attest,
    hardware: {
      format: "nitro",
      root: authority.rootDigest,
      assurance: "hardware",
      measurements: [measurementId("nitro", { pcr0: toHex(pcr0), pcr1: toHex(pcr1), pcr2: toHex(pcr2) })],
      revoked: [],
      tcb: { statuses: [], advisories: [], floors: {} },
      custody: ["named-datacentre"],
      provenance: false,
    },
  };
}

/** A file that was renamed while the folder was read stands there under its other name. */
function gone(error: unknown): string {
  if ((error as { readonly code?: unknown }).code === "ENOENT") return "";
  throw error;
}

/** The bytes of all files below a folder. */
async function filesOf(folder: string): Promise<string> {
  const parts: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) parts.push(await readFile(join(entry.parentPath, entry.name), "latin1").catch(gone));
  return parts.join("\n");
}

export type Sealed = {
  readonly path: EndpointPath;
  /** The request, as the model is to see it. */
  readonly value: JsonObject;
  /** What travels. */
  readonly body: string;
  readonly nonce: Hex;
  readonly headers: Readonly<Record<string, string>>;
  readonly openAnswer: SealedForKey["openAnswer"];
};

/** Seals a request as a client does. */
export async function seal(
  { keyset, channelKey }: Pick<SealedWorld, "keyset" | "channelKey">,
  path: EndpointPath,
  value: JsonObject,
  release: "met" | "signed" | "live" = "met",
  policy = "signature",
): Promise<Sealed> {
  const clear = clearPart(value);
  const nonce = toHex(new Uint8Array(randomBytes(32)));
  const demand = { policy: parsePolicy(policy), release, deadline: null, source: "request" } as const;
  const digest = keysetDigest(keyset);
  const aad = channelAad({ clear, clientNonce: nonce, keyset: digest, path, demand: demandBytes(demand) });
  const { enc, ciphertext, openAnswer } = await sealRequest({
    key: fromHex(channelKey),
    aad,
    body: utf8(JSON.stringify(value)),
  });
  return {
    path,
    value,
    body: fromUtf8(writeSealedBody({ clear, keyset: digest, key: channelKey, enc, ciphertext })),
    nonce,
    headers: {
      "x-countersign-nonce": nonce,
      "x-verification": release === "met" ? policy : `${policy}; release=${release}`,
    },
    openAnswer,
  };
}

/** Asks, pays what the 402 asks for, and gives the answer. */
export async function ask(
  { world }: SealedWorld,
  { path, body, headers }: Sealed,
): Promise<{ readonly response: Response; readonly text: string; readonly payment: string }> {
  const first = await send(world.gateway.url, body, { path, headers });
  if (first.status !== 402) return { response: first, text: await first.text(), payment: "" };
  const payment = await signPayment(world, decodeRequired(first.headers.get("payment-required") as string));
  await first.body?.cancel();
  const response = await send(world.gateway.url, body, { path, headers: { ...headers, "payment-signature": payment } });
  return { response, text: await readToCut(response), payment };
}

/** What arrived, also of an answer that was cut. */
async function readToCut(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const part of response.body ?? []) text += decoder.decode(part, { stream: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return text;
}

type Extra = {
  readonly receipt: unknown;
  readonly verdict: Verdict;
  readonly payment: { readonly transaction: string | null } | null;
};

/** The sealed pieces of an answer, and what stands beside them in clear. */
export function piecesOf(text: string): {
  readonly nonce: Uint8Array;
  readonly chunks: readonly Uint8Array[];
  readonly extra: Extra;
} {
  if (text.startsWith("{")) {
    const { sealed, countersign } = JSON.parse(text);
    return { nonce: fromHex(sealed.nonce), chunks: sealed.chunks.map(fromBase64), extra: countersign };
  }
  const frames = text
    .split("\n\n")
    .filter((f) => f.startsWith("data: {"))
    .map((f) => JSON.parse(f.slice(6)));
  return {
    nonce: fromHex(frames[0].sealed.nonce),
    chunks: frames.slice(1).map((f) => fromBase64(f.sealed.chunk)),
    extra: frames.at(-1).countersign,
  };
}

/** Opens an answer and puts the receipt together, as its holder does. */
export async function open(
  text: string,
  { openAnswer, path, value, body, nonce }: Sealed,
  { trust }: SealedWorld,
  receiptId: string | null,
): Promise<{ readonly answer: string; readonly receipt: Receipt; readonly extra: Extra; readonly verdict: Verdict }> {
  const pieces = piecesOf(text);
  const opener = await openAnswer(pieces.nonce);
  const texts: Uint8Array[] = [];
  let secret = "";
  let openings: Receipt["openings"] = [];
  for (const chunk of pieces.chunks) {
    const { kind, content } = await opener.open(chunk);
    if (kind === "text") texts.push(content);
    else ({ receiptSecret: secret, openings } = readPrivatePart(content));
  }
  opener.end();
  const answer = fromUtf8(concat(...texts));
  const clear = parseReceipt(pieces.extra.receipt);
  const delivered = {
    request: { method: "POST", path, body: utf8(JSON.stringify(value)) },
    output: { body: utf8(answer) },
    sealed: { body: utf8(body) },
    clientNonce: nonce,
  };
  const receipt = completeReceipt(
    {
      ...clear,
      openings: [...clear.openings, ...openings],
      sealed: toBase64(utf8(body)),
      holder: { receiptId: receiptId ?? "", receiptSecret: secret, clientNonce: nonce },
    },
    delivered,
  );
  const verdict = verify({ receipt, delivered, trust, at: Date.now(), allowDevelopment: true });
  return { answer, receipt, extra: pieces.extra, verdict };
}
