import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { NodeDescription, Trust } from "@countersign/core";
import { noTrust, parsePolicy, printPolicy, signDeployment, toBase64, toHex } from "@countersign/core";
import { ed25519Signer, nodeSuite } from "@countersign/core/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeEnclave, registerPlace, trusting } from "../../../test/fixtures/enclave.ts";
import * as small from "../../../test/fixtures/network.ts";
import { describeOverHttp, findModel, nearNames, openCatalogue, readDescription } from "./catalogue.ts";
import { type FakeModel, type FakeNode, startFakeNode } from "./fixtures/fake-node.ts";

const network = "eip155:2000000000001";
const seedOf = (n: number) => ed25519Signer(new Uint8Array(32).fill(n));
const [registrar, publisher, stranger] = [seedOf(1), seedOf(2), seedOf(3)] as const;
const trust: Trust = {
  ...noTrust,
  network,
  registrars: [{ name: "r", key: toHex(registrar.publicKey) }],
  publishers: [{ name: "p", key: toHex(publisher.publicKey) }],
};
const context = { trust, suite: nodeSuite, now: () => 1_800_000_000_000 };

let node: FakeNode;
beforeAll(async () => {
  node = await startFakeNode({
    network,
    registrar,
    publisher,
    models: [
      { id: "one", tasks: ["chat"] },
      { id: "two", tasks: ["embedding"] },
    ],
  });
});
afterAll(() => node.close());

const read = (description: unknown, over: Partial<Trust> = {}) =>
  readDescription(description, node.url, { ...context, trust: { ...trust, ...over } });
const ids = (served: ReturnType<typeof read>["served"]) => served.map((s) => s.deployment.model.id);
const first = () => node.description.deployments[0] as NodeDescription["deployments"][number];
const withFirst = (change: Partial<NodeDescription["deployments"][number]>) => ({
  ...node.description,
  deployments: [{ ...first(), ...change }, ...node.description.deployments.slice(1)],
});

describe("a node's description", () => {
  it("is read when registrar and publishers are trusted", () => {
    expect(ids(read(node.description).served)).toEqual(["one", "two"]);
  });

  it("is refused when nobody registered the key, or somebody else's key is registered", () => {
    const code = expect.objectContaining({ code: "NODE_NOT_ACTIVE" });
    expect(() => read(node.description, { registrars: [] })).toThrow(code);
    expect(() => read({ ...node.description, key: toHex(stranger.publicKey) })).toThrow(code);
    expect(() => read({ ...node.description, deployments: "many" })).toThrow(code);
    expect(() => read(node.description, { network: "eip155:1" })).toThrow(code);
  });

  it("loses a deployment that somebody else signed, and keeps the others", () => {
    const forged = withFirst({ deployment: signDeployment(node.deployment(), stranger) });
    const { served, faults } = read(forged);
    expect(ids(served)).toEqual(["two"]);
    expect(faults.map((f) => f.code)).toEqual(["CAPABILITY_UNPROVEN"]);
  });

  it("loses a deployment whose manifest is another model's, is signed by nobody trusted, or is not ready", () => {
    const other = node.description.deployments[1]?.manifest;
    const swapped = read(withFirst({ manifest: other as never }));
    expect(swapped.faults.map((f) => f.code)).toEqual(["MODEL_DIGEST_MISMATCH"]);
    expect(ids(swapped.served)).toEqual(["two"]);
    const unsigned = read(node.description, { publishers: [] });
    expect(unsigned.faults.map((f) => f.code)).toEqual(["MANIFEST_SIGNATURE_INVALID", "MANIFEST_SIGNATURE_INVALID"]);
    expect(ids(read(withFirst({ ready: false })).served)).toEqual(["two"]);
  });
});

describe("a level that stands on hardware", () => {
  /** What is offered of one guarantee of an enclave's node, whose machine stands in a named data centre. */
  async function offered(guarantee: string) {
    const models: FakeModel[] = [{ id: "one", tasks: ["chat"] }];
    const { network } = small;
    const made = await startFakeNode({ network, registrar: small.keys.registrar, publisher, models });
    await made.close();
    const deployment = made.deployment();
    const enclave = makeEnclave({ keyset: { models: [deployment.model.digest] } });
    const key = toHex(enclave.signer.publicKey);
    const signed = signDeployment({ ...deployment, node: key, guarantees: [guarantee] }, enclave.signer);
    const description = {
      ...made.description,
      key,
      registration: registerPlace(enclave),
      attestation: toBase64(enclave.attestation),
      deployments: made.description.deployments.map((d) => ({ ...d, deployment: signed })),
    };
    const publishers = [{ name: "p", key: toHex(publisher.publicKey) }];
    return readDescription(description, made.url, {
      suite: nodeSuite,
      now: () => small.now + 1000,
      trust: { ...trusting(), publishers },
    });
  }
  it("is offered with the facts that its attestation shows", async () => {
    const text = printPolicy(parsePolicy("execution:hardware(custody=named-datacentre,scope=inference)"));
    const { served, faults } = await offered(text);
    expect(faults).toEqual([]);
    expect(served[0]?.guarantees.map(printPolicy)).toEqual([text]);
  });
  it.each([
    "execution:hardware(custody=hyperscaler)",
    "model:hardware(provenance=logged)",
    "model:hardware(assurance=vendor-verifier)",
    "execution:signature | execution:hardware(operator=bank)",
  ])("is not offered as %s, which nothing shows", async (text) => {
    const { served, faults } = await offered(printPolicy(parsePolicy(text)));
    expect(served).toEqual([]);
    expect(faults.map((f) => f.code)).toEqual(["CAPABILITY_UNPROVEN"]);
  });
});

it("a description without end is not read", async () => {
  const piece = Buffer.alloc(1 << 20, " ");
  const server = createServer((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write(piece));
    };
    response.on("drain", more);
    more();
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const start = performance.now();
  await expect(describeOverHttp(null)(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({
    code: "NODE_UNREACHABLE",
    cause: { message: expect.stringContaining("More than") },
  });
  expect(performance.now() - start).toBeLessThan(5000);
  server.closeAllConnections();
  server.close();
});

describe("the catalogue", () => {
  it("drops what an unreachable or unregistered node served", async () => {
    let answer: unknown = node.description;
    const catalogue = openCatalogue({
      ...context,
      nodes: [node.url],
      describe: async () => answer,
    });
    expect(catalogue.served()).toEqual([]);
    await catalogue.refresh();
    expect(ids(catalogue.served())).toEqual(["one", "two"]);
    answer = { ...node.description, key: toHex(stranger.publicKey) };
    await catalogue.refresh();
    expect(catalogue.served()).toEqual([]);
    expect(catalogue.nodes()).toMatchObject([{ state: "refused", faults: [{ code: "NODE_NOT_ACTIVE" }] }]);
  });

  it("finds a model by its whole name and job only", () => {
    const { served } = read(node.description);
    expect(ids(findModel(served, "one", "/v1/chat/completions"))).toEqual(["one"]);
    expect(() => findModel(served, "on", "/v1/chat/completions")).toThrow(
      expect.objectContaining({ code: "MODEL_UNKNOWN" }),
    );
    expect(() => findModel(served, "two", "/v1/chat/completions")).toThrow(
      expect.objectContaining({ code: "MODEL_TASK_MISMATCH" }),
    );
  });
});

it("names near names, nearest first", () => {
  expect(nearNames("pocet", ["pocket", "pocket-mini", "lande-50"])).toEqual(["pocket"]);
  expect(nearNames("POCKET", ["lande-50", "pocket-mini", "pocket"])).toEqual(["pocket", "pocket-mini"]);
  expect(nearNames("zzzz", ["pocket"])).toEqual([]);
});
