import { type Demand, noTrust, parsePolicy, parseRequest, printPolicy, toHex, utf8 } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDescription, type Served } from "./catalogue.ts";
import { type FakeNode, startFakeNode } from "./fixtures/fake-node.ts";
import { priced } from "./fixtures/world.ts";
import { matchGuarantee } from "./guarantee.ts";
import { usageBound } from "./quote.ts";

const network = "eip155:2000000000001";
const seedOf = (n: number) => ed25519Signer(new Uint8Array(32).fill(n));
let node: FakeNode;
let served: readonly Served[];
const late =
  "execution:reexecution & issuer:signature & model:signature & output:signature & prompt:signature & request:signature";
beforeAll(async () => {
  node = await startFakeNode({
    network,
    registrar: seedOf(1),
    publisher: seedOf(2),
    models: [
      { id: "plain", tasks: ["chat"] },
      { id: "audited", tasks: ["chat"], guarantees: [late] },
      { id: "either", tasks: ["chat"], guarantees: ["issuer:signature | model:signature"], price: priced },
    ],
  });
  const trust = {
    ...noTrust,
    network,
    registrars: [{ name: "r", key: toHex(seedOf(1).publicKey) }],
    publishers: [{ name: "p", key: toHex(seedOf(2).publicKey) }],
  };
  ({ served } = readDescription(node.description, node.url, { trust, suite: nodeSuite, now: () => 1_800_000_000_000 }));
});
afterAll(() => node.close());

const order = (over: object = {}, clientNonce?: string) => {
  const body = utf8(JSON.stringify({ model: "plain", messages: [], ...over }));
  const path = "/v1/chat/completions" as const;
  return { path, body, request: parseRequest(path, body), clientNonce };
};
const match = (
  model: string,
  text: string,
  {
    over = {},
    nonce,
    release = "met",
    logged = true,
  }: { over?: object; nonce?: string; release?: Demand["release"]; logged?: boolean } = {},
) => {
  const demand: Demand = { policy: parsePolicy(text), release, deadline: null, source: "request" };
  const one = served.find((s) => s.deployment.model.id === model) as Served;
  const found = matchGuarantee(demand, one, order(over, nonce), { logged });
  return found.state === "offerable"
    ? printPolicy(found.bought)
    : found.missing.map((m) => printPolicy(m.requirement)).join(", ");
};
const signature = printPolicy(parsePolicy("signature"));

describe("what is offerable", () => {
  it("is what the deployment delivers, and what the gateway adds", () => {
    expect(match("plain", "signature")).toBe(signature);
    expect(match("plain", "signature & logged")).toContain("logged:log");
    expect(match("plain", "signature & logged", { logged: false })).toBe("logged:log");
    expect(match("plain", "signature & payment")).toContain("payment:signature");
  });

  it("has a draw that is the client's only when he drew the nonce, or nothing is drawn", () => {
    expect(match("plain", "sampling")).toBe("sampling:signature");
    expect(match("plain", "sampling", { nonce: "ab".repeat(32) })).toContain("sampling:signature");
    expect(match("plain", "sampling", { over: { temperature: 0 } })).toContain("sampling:signature");
    expect(match("plain", "sampling", { over: { temperature: 1 } })).toBe("sampling:signature");
  });

  it("takes the way that can be kept, and buys the whole guarantee", () => {
    expect(match("plain", "zkml | signature")).toBe(signature);
    expect(match("plain", "issuer:signature")).toBe(signature);
    expect(match("plain", "zkml & signature")).toContain("execution:proof");
  });

  it("counts facts: the ones a finding will carry, no others", () => {
    expect(match("plain", "model:signature(scope=inference)")).toBe(signature);
    expect(match("plain", "model:signature(scope=origin)")).toBe("model:signature(scope=origin)");
    expect(match("plain", `model:signature(digest=${node.deployment("plain@fake").model.digest})`)).toBe(signature);
    expect(match("plain", `issuer:signature(digest=${"ab".repeat(32)})`)).toContain("issuer:signature");
  });

  it("has an operator only where his name is a fact as it stands, as the evidence will have it", () => {
    const named = (operator: string, text: string) => {
      const renamed = { ...(served[0] as Served), operator };
      const demand: Demand = { policy: parsePolicy(text), release: "met", deadline: null, source: "request" };
      return matchGuarantee(demand, renamed, order(), { logged: true }).state;
    };
    expect(named("fake.node", "issuer:signature(operator=fake.node)")).toBe("offerable");
    expect(named("fake node", "issuer:signature(operator=fake-node)")).toBe("short");
    expect(named("fake node", "issuer:signature")).toBe("offerable");
  });

  it("says what is offered instead, and what can never be", () => {
    const why = (text: string, shown?: Served["attestation"]) => {
      const one = { ...(served[0] as Served), ...(shown && { attestation: shown }) };
      const guarantees = shown ? [parsePolicy("model:hardware & origin:hardware")] : one.guarantees;
      const demand: Demand = { policy: parsePolicy(text), release: "met", deadline: null, source: "request" };
      const found = matchGuarantee(demand, { ...one, guarantees }, order(), { logged: true });
      return found.state === "short" ? found.missing.map((m) => m.why).join("; ") : "";
    };
    const facts = { custody: "self-hosted", tcb: "vendor-managed", assurance: "simulated" };
    const shown = { facts } as unknown as NonNullable<Served["attestation"]>;
    expect(why("model:hardware(custody=hyperscaler, tcb=vendor-managed)", shown)).toBe(
      "it is offered with custody=self-hosted",
    );
    expect(why("request:hardware(custody=hyperscaler)", shown)).toBe("it is offered with custody=self-hosted");
    expect(why("model:signature(scope=origin)")).toBe("it is offered with scope=inference");
    expect(why("confidential:signature", shown)).toContain("only stand on hardware");
    expect(why("confidential:hardware", shown)).toContain("must come sealed");
  });

  it("offers late evidence only to those who do not wait for it", () => {
    expect(match("audited", "execution:reexecution")).toBe("execution:reexecution");
    expect(match("audited", "execution:reexecution", { release: "signed" })).toBe(late);
  });

  it("does not read a guarantee with alternatives as both", () => {
    expect(match("either", "issuer:signature")).toBe("issuer:signature");
  });
});

it("bounds the use of an order by its bytes, its tokens and its choices", () => {
  const { deployment } = served[2] as Served;
  expect(usageBound(deployment, order({ max_tokens: 10, n: 3 })).maxTokens).toBe(30);
  expect(usageBound(deployment, order()).maxTokens).toBe(64);
  expect(() => usageBound(deployment, order({ max_tokens: 65 }))).toThrow(
    expect.objectContaining({ code: "PARAMETER_NOT_SUPPORTED" }),
  );
  for (const over of [{ max_tokens: 0 }, { max_tokens: "1" }, { n: 0 }, { n: 1.5 }]) {
    expect(() => usageBound(deployment, order(over))).toThrow(
      expect.objectContaining({ code: "REQUEST_FIELD_INVALID" }),
    );
  }
});
