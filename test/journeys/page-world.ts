// A whole network in memory, made by the noun functions of core and log: what the page's journey is shown.
import {
  commit,
  demandBytes,
  deriveSeed,
  type Entry,
  encodeEntry,
  envelopeDigest,
  leafBytes,
  masksOf,
  modelInputShape,
  modelLeafShape,
  noDigest,
  offerDigest,
  offerLeafShape,
  outputElements,
  paramsBytes,
  parsePolicy,
  parseRequest,
  printPolicy,
  profileLeafShape,
  type Receipt,
  requestDigest,
  requestTag,
  resultLeafShape,
  signDelivery,
  signOffer,
  signRegistration,
  signRun,
  signSnapshot,
  type Trust,
  toBase64Url,
  toHex,
  tokensBytes,
  utf8,
} from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import {
  buildSortedSet,
  cosign,
  encodeSetProof,
  formatCheckpoint,
  formatNote,
  formatTlogProof,
  formatVkey,
  layOutLog,
  openReader,
  parseNote,
  signNote,
  verifierKey,
} from "@countersign/log";

const signer = (n: number) => ed25519Signer(new Uint8Array(32).fill(n));
const digest = (n: number) => n.toString(16).padStart(2, "0").repeat(32);
const [node, gateway, registrar, logKey, first, second, monitor] = [1, 2, 3, 4, 5, 6, 7].map(signer) as [
  ReturnType<typeof signer>,
  ReturnType<typeof signer>,
  ReturnType<typeof signer>,
  ReturnType<typeof signer>,
  ReturnType<typeof signer>,
  ReturnType<typeof signer>,
  ReturnType<typeof signer>,
];
const key = (s: ReturnType<typeof signer>) => toHex(s.publicKey);
const network = "eip155:742113";
const origin = "dev.example/log";
const model = { id: "smollm2-135m-instruct", digest: digest(0x5a) };
const deployment = { id: "smol", version: 3 };

/** A receipt with everything that belongs to it, as its holder has it. */
export type World = {
  readonly receipt: Receipt;
  readonly request: string;
  /** The answer's JSON body as delivered, the receipt inside. */
  readonly answer: string;
  readonly trust: Trust;
  /** The log's checkpoint when it had all entries but the last. */
  readonly checkpoint: string;
  /** Entries as the gateway serves them. */
  readonly entries: readonly ({ readonly index: number; readonly bytes: string } & Entry)[];
};

/** Makes the world for a time; `system` and `text` are what model and reader see. */
export async function makeWorld(args: {
  readonly at: number;
  readonly system: string;
  readonly text: string;
}): Promise<World> {
  const { at } = args;
  const path = "/v1/chat/completions";
  const request = JSON.stringify({
    model: model.id,
    messages: [
      { role: "system", content: args.system },
      { role: "user", content: "Name the capital of Iceland." },
    ],
    max_tokens: 24,
    verification: "signature & logged",
  });
  const body = utf8(request);
  const parsed = parseRequest(path, body);
  const clientNonce = new Uint8Array(32).fill(9);
  const policy = parsePolicy("signature & logged");
  const demand = { policy, release: "met", deadline: null, source: "request" } as const;
  const asked = requestDigest({ clientNonce, method: "POST", path, policy: demandBytes(demand), body });
  const offer = {
    suite: "countersign/offer/v1",
    network,
    gateway: key(gateway),
    node: key(node),
    model,
    deployment,
    guarantee: printPolicy(policy),
    release: "met",
    unmet: "promised",
    scheme: "exact",
    asset: `0x${"11".repeat(20)}`,
    payTo: `0x${"22".repeat(20)}`,
    amount: "0",
    validBefore: Math.floor(at / 1000) + 60,
    requestDigest: toHex(asked),
    deadline: null,
    madeAt: at - 4000,
    expires: Math.floor(at / 1000) + 60,
  } as const;
  const output = { kind: "message", content: args.text, tool_calls: [], finish: "stop" } as const;
  const usage = { prompt_tokens: 31, completion_tokens: 6, total_tokens: 37 };
  const secret = new Uint8Array(32).fill(8);
  const commitment = commit(
    {
      ...parsed.contents,
      forwarded: body,
      modelInput: leafBytes(modelInputShape, { tokens: [1, 2, 3] }),
      params: paramsBytes({ ...parsed.params, temperature: "1", seed: null }),
      clientNonce,
      policy: demandBytes(demand),
      offer: leafBytes(offerLeafShape, { offer: offerDigest(offer), terms: null, step: 0, links: [] }),
      model: leafBytes(modelLeafShape, {
        requested: model.id,
        manifest: model.digest,
        deployment,
        served: null,
        substitutedFrom: null,
      }),
      profile: leafBytes(profileLeafShape, {
        engine: "llama.cpp",
        version: "b6000",
        library: null,
        device: "cpu",
        dtype: "q8_0",
        settings: { threads: "1" },
        sampler: { kind: "temperature", temperature: "1" },
        seeds: [deriveSeed(clientNonce, asked, 0)],
      }),
      output: outputElements([{ output, tokens: tokensBytes({ ids: [4, 5, 6], logprobs: null }) }]),
      result: leafBytes(resultLeafShape, {
        usage,
        finish: ["stop"],
        timings: { queued: 2, prompt: 40, generation: 210 },
      }),
    },
    () => secret,
  );
  const root = commitment.roots.receiptRoot;
  const tag = toHex(requestTag(clientNonce, offerDigest(offer)));
  const statement = signRun(
    root,
    {
      suite: "countersign/receipt/v1",
      network,
      issuer: key(node),
      endpoint: path,
      requestTag: tag,
      requestDigest: toHex(asked),
      model,
      deployment,
      scope: "inference",
      policy: {
        demanded: printPolicy(policy),
        bought: printPolicy(policy),
        release: "met",
        deadline: null,
        source: "request",
      },
      rewrites: [],
      ownerSalted: [],
      outcome: "complete",
      nonceSource: "client",
      issuedAt: at - 3000,
      log: origin,
      labels: ["development"],
    },
    node,
  );
  const entry: Entry = {
    kind: "receipt",
    flags: ["development"],
    subject: root,
    envelope: envelopeDigest(statement),
    issuer: key(node),
    model: model.digest,
    tag,
    deployment: digest(0x33),
    demanded: masksOf(policy),
    bought: masksOf(policy)[0] as number,
    delivered: 1,
    tokens: 6,
    value: 0,
    hour: Math.floor(at / 3_600_000),
  };
  const other = (n: number, part: Partial<Entry>): Entry => ({
    ...entry,
    subject: digest(n),
    envelope: digest(n + 1),
    tag: digest(n + 2),
    ...part,
  });
  const all = [
    other(0x40, { kind: "model", flags: [], tag: noDigest, demanded: [], bought: 0, delivered: 0 }),
    other(0x50, { kind: "deployment", flags: ["development"], tag: noDigest, demanded: [], bought: 0, delivered: 0 }),
    other(0x60, { demanded: [4, 8], bought: 5, delivered: 5, flags: ["development", "simulated"] }),
    other(0x64, { demanded: [8], bought: 9, delivered: 9 }),
    other(0x68, { demanded: [1], bought: 1, delivered: 1 }),
    other(0x6c, { demanded: [2], bought: 3, delivered: 1, flags: ["development", "unmet"] }),
    other(0x70, { flags: ["development", "synthetic"] }),
    other(0x74, { kind: "evidence", tag: noDigest, demanded: [], bought: 0, delivered: 8 }),
    entry,
  ];
  const index = all.length - 1;
  const log = layOutLog(all.map(encodeEntry));
  const logged = verifierKey(origin, "note", logKey.publicKey);
  const text = formatCheckpoint({ origin, size: log.size, root: log.root });
  const note = parseNote(signNote(text, { name: origin, signer: logKey }));
  const witnesses = [
    { name: "dev.example/north", signer: first },
    { name: "dev.example/south", signer: second },
  ];
  const seconds = Math.floor(at / 1000) - 1;
  const checkpoint = formatNote({
    text,
    signatures: [...note.signatures, ...witnesses.map((w) => cosign(text, seconds, w))],
  });
  const reader = openReader({ fetchTile: log.fetchTile, log: logged, suite: nodeSuite });
  const { hashLeaf } = await import("@countersign/log");
  const inclusion = await reader.inclusion(
    { origin, size: log.size, root: log.root },
    index,
    hashLeaf(encodeEntry(entry)),
  );
  const none = buildSortedSet({ keys: [] });
  const noneMap = buildSortedSet({ entries: [] });
  const proof = (about: string, set: typeof none) => toBase64Url(encodeSetProof(set.prove(Buffer.from(about, "hex"))));
  const empty = (set: typeof none) => ({ size: set.size, root: toHex(set.root) });
  const snapshot = signSnapshot(
    toHex(log.root),
    {
      suite: "countersign/snapshot/v1",
      monitor: key(monitor),
      origin,
      size: log.size,
      time: at - 500,
      refuted: empty(none),
      revoked: empty(none),
      evidence: empty(noneMap),
      deploymentHeads: empty(noneMap),
    },
    monitor,
  );
  const register = (role: "node" | "gateway", who: string) =>
    signRegistration(
      {
        suite: "countersign/registration/v1",
        network,
        registrar: key(registrar),
        role,
        key: who,
        operator: `Harbour ${role}`,
        notBefore: at - 1e9,
        notAfter: at + 1e9,
      },
      registrar,
    );
  const closed = new Set(["rawRequest", "system", "messages/0", "messages/1", "output/0"]);
  const receipt: Receipt = {
    format: "countersign/receipt/v1",
    statement,
    leaves: commitment.leaves,
    openings: commitment.openings.filter(({ path: p }) => !closed.has(p)),
    offer: signOffer(offer, gateway),
    delivery: signDelivery(
      root,
      {
        suite: "countersign/delivery/v1",
        network,
        gateway: key(gateway),
        offerDigest: offerDigest(offer),
        requestTag: tag,
        requestDigest: toHex(asked),
        paymentDigest: null,
        paymentBound: false,
        deliveredAt: at - 2500,
      },
      gateway,
    ),
    keys: [register("node", key(node)), register("gateway", key(gateway))],
    evidence: [],
    inclusion: [
      { entry: toBase64Url(encodeEntry(entry)), proof: formatTlogProof({ index, path: inclusion, checkpoint }) },
    ],
    snapshots: [
      {
        envelope: snapshot,
        proofs: {
          refuted: proof(root, none),
          revoked: [proof(key(node), none), proof(key(gateway), none)],
          evidence: proof(root, noneMap),
        },
      },
    ],
    head: null,
    anchors: [],
    holder: { receiptId: digest(0x77), receiptSecret: toHex(secret), clientNonce: toHex(clientNonce) },
  };
  const trust: Trust = {
    format: "countersign/trust/v1",
    name: "countersign up, this machine",
    development: true,
    network,
    registrars: [{ name: "harbour-registrar", key: key(registrar) }],
    nodes: [],
    gateways: [],
    logs: [formatVkey(logged)],
    witnesses: `${[
      ...witnesses.map((w, i) => `witness w${i} ${formatVkey(verifierKey(w.name, "cosignature", w.signer.publicKey))}`),
      "group both all w0 w1",
      "quorum both",
    ].join("\n")}\n`,
    monitors: { quorum: 1, keys: [{ name: "harbour-monitor", key: key(monitor) }] },
    snapshotMaxAge: 600,
    publishers: [],
    auditors: { quorum: 2, keys: [] },
    hardware: [],
    proof: [],
    contracts: {},
  };
  const answer = JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    model: model.id,
    choices: [{ index: 0, message: { role: "assistant", content: args.text }, finish_reason: "stop" }],
    usage,
    countersign: { receipt, verdict: { outcome: "met" }, payment: null },
  });
  const earlier = layOutLog(all.slice(0, -1).map(encodeEntry));
  const head = formatCheckpoint({ origin, size: earlier.size, root: earlier.root });
  return {
    receipt,
    request,
    answer,
    trust,
    checkpoint: signNote(head, { name: origin, signer: logKey }),
    entries: all.map((e, i) => ({ index: i, ...e, bytes: toHex(encodeEntry(e)) })),
  };
}
