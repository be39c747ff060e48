import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  authorizationDigest,
  CountersignError,
  concat,
  domainSeparator,
  fromHex,
  type Hex,
  keccak256,
  type TokenDomain,
  utf8,
} from "@countersign/core";
import { encodeFunctionData, type Hex as HexString } from "viem";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileContracts } from "../../tools/compile-contracts.ts";
import { artifacts } from "../contracts/artifacts.ts";
import { checkFunds } from "../x402/funds.ts";
import { type Anvil, startAnvil } from "./anvil.ts";
import { assertChain } from "./assert.ts";
import { type Deployment, deployContracts, fundGas, mint, sendAndWait } from "./deploy.ts";
import { readAuthorizationState, readBalance } from "./read.ts";
import { openRpc, RpcRefusal } from "./rpc.ts";
import { generatePrivateKey, openWallet, type Wallet } from "./wallet.ts";

let anvil: Anvil;
let deployment: Deployment;
let domain: TokenDomain;
const owner = openWallet(generatePrivateKey());
const payer = openWallet(generatePrivateKey());
const payee = openWallet(generatePrivateKey());
let serial = 0;

beforeAll(async () => {
  anvil = await startAnvil();
  await Promise.all([owner, payer, payee].map((wallet) => fundGas(anvil.rpc, wallet.address)));
  deployment = await deployContracts(anvil.rpc, owner);
  const { name, version, address } = deployment.token;
  domain = { name, version, chainId: anvil.chainId, verifyingContract: address };
  await mint(anvil.rpc, owner, address, payer.address, 1_000_000n);
}, 60_000);
afterAll(() => anvil.stop());

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing thrown",
    (error) => (CountersignError.is(error) ? error.code : error),
  );

test("the committed artifacts are what the sources compile to", () => {
  expect(compileContracts()).toEqual(artifacts);
}, 60_000);

describe("the local chain", () => {
  test("has an id of its own, and nothing on the published keys", async () => {
    expect(anvil.chainId).toBeGreaterThan(2_000_000_000_000);
    const published = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
    expect(await anvil.rpc.call("eth_getBalance", [published, "latest"])).toBe("0x0");
  });

  test("a port that is taken is an error", async () => {
    expect(await code(startAnvil({ port: anvil.port, deadline: 3000 }))).toBe("PORT_IN_USE");
  });

  test("keeps its state in a file when it is stopped", async () => {
    const folder = mkdtempSync(join(tmpdir(), "countersign-anvil-"));
    const stateFile = join(folder, "chain.json");
    const first = await startAnvil({ stateFile });
    await fundGas(first.rpc, owner.address);
    const deployed = await deployContracts(first.rpc, owner);
    await mint(first.rpc, owner, deployed.token.address, payer.address, 5n);
    await first.stop();
    const second = await startAnvil({ stateFile, chainId: first.chainId });
    expect(await code(assertChain({ rpc: second.rpc, deployment: deployed }))).toBe("nothing thrown");
    expect(await readBalance(second.rpc, deployed.token.address, payer.address)).toBe(5n);
    await second.stop();
    rmSync(folder, { recursive: true });
  }, 20_000);

  test("ends with its parent, even when that is killed", async () => {
    const script = `
      import { startAnvil } from ${JSON.stringify(new URL("./anvil.ts", import.meta.url).href)};
      const anvil = await startAnvil();
      console.log(anvil.pid);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const pid = await new Promise<number>((resolve) => parent.stdout.once("data", (text) => resolve(Number(text))));
    expect(() => process.kill(pid, 0)).not.toThrow();
    parent.kill("SIGKILL");
    const gone = () => {
      try {
        process.kill(pid, 0);
        // A child without a parent to collect it is a zombie, where nothing runs as init.
        return execFileSync("ps", ["-o", "stat=", "-p", String(pid)])
          .toString()
          .startsWith("Z");
      } catch {
        return true;
      }
    };
    while (!gone()) await new Promise((resolve) => setTimeout(resolve, 20));
  }, 20_000);
});

describe("start-up assertions", () => {
  const check = (change: Partial<Deployment>) =>
    code(assertChain({ rpc: anvil.rpc, deployment: { ...deployment, ...change } }));

  test("hold on the chain that was deployed, with native recovery", async () => {
    expect(await check({})).toBe("nothing thrown");
  });

  test("fail on another chain, an empty address, other code, another token, and a chain that is away", async () => {
    const { token, anchors } = deployment;
    expect(await check({ chainId: 1 })).toBe("CHAIN_MISMATCH");
    expect(await check({ token: { ...token, address: payee.address } })).toBe("CONTRACT_MISSING");
    expect(await check({ token: { ...token, address: anchors.address } })).toBe("CONTRACT_MISSING");
    expect(await check({ token: { ...token, codeHash: "0".repeat(64) } })).toBe("CONTRACT_MISSING");
    expect(await check({ anchors: { ...anchors, address: payee.address } })).toBe("CONTRACT_MISSING");
    expect(await check({ token: { ...token, version: "2" } })).toBe("CHAIN_MISMATCH");
    expect(await check({ token: { ...token, decimals: 18 } })).toBe("CHAIN_MISMATCH");
    const away = openRpc("http://127.0.0.1:9", 300);
    expect(await code(assertChain({ rpc: away, deployment }))).toBe("CHAIN_UNREACHABLE");
  });
});

const types = {
  transfer:
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)",
  receive:
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)",
  cancel: "CancelAuthorization(address authorizer,bytes32 nonce)",
};
const word = (hex: string) => fromHex(hex.padStart(64, "0"));
const digestOf = (type: string, ...words: Uint8Array[]) =>
  keccak256(
    concat(new Uint8Array([0x19, 1]), domainSeparator(domain), keccak256(concat(keccak256(utf8(type)), ...words))),
  );
const fresh = (): Hex => (++serial).toString(16).padStart(64, "0");
const split = (signature: string) =>
  [Number.parseInt(signature.slice(128), 16), `0x${signature.slice(0, 64)}`, `0x${signature.slice(64, 128)}`] as const;

/** Calls the token with arguments as its own ABI has them, picking the overload by their number. */
const send = (from: Wallet, name: string, args: readonly unknown[]) => {
  const abi = artifacts.TestUSD.abi.filter(
    (item) => item.type === "function" && item.name === name && item.inputs.length === args.length,
  );
  const data = encodeFunctionData({ abi, functionName: name, args: args as never });
  return anvil.rpc
    .call("eth_call", [{ from: from.address, to: deployment.token.address, data }, "latest"])
    .then(() => sendAndWait(anvil.rpc, from, { to: deployment.token.address, data }));
};
const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing thrown",
    (error) => (error instanceof RpcRefusal ? "reverted" : error),
  );

describe("the test token", () => {
  const second = () => Math.floor(Date.now() / 1000);
  const signed = async (kind: "transfer" | "receive", change: { validAfter?: number; validBefore?: number } = {}) => {
    const validAfter = change.validAfter ?? 0;
    const validBefore = change.validBefore ?? second() + 1000;
    const nonce = fresh();
    const digest = digestOf(
      types[kind],
      word(payer.address.slice(2)),
      word(payee.address.slice(2)),
      word("64"),
      word(validAfter.toString(16)),
      word(validBefore.toString(16)),
      fromHex(nonce),
    );
    const head = [payer.address, payee.address, 100n, BigInt(validAfter), BigInt(validBefore), `0x${nonce}`];
    return { head, nonce, signature: await payer.signDigest(digest) };
  };

  test("moves money by both overloads of both kinds, once each", async () => {
    const before = await readBalance(anvil.rpc, deployment.token.address, payee.address);
    for (const kind of ["transfer", "receive"] as const) {
      for (const spell of [split, (s: string) => [`0x${s}`]]) {
        const { head, signature, nonce } = await signed(kind);
        const args = [...head, ...spell(signature)];
        await send(payee, `${kind}WithAuthorization`, args);
        expect(await readAuthorizationState(anvil.rpc, deployment.token.address, payer.address, nonce)).toBe(true);
        expect(await refused(send(payee, `${kind}WithAuthorization`, args))).toBe("reverted");
      }
    }
    expect((await readBalance(anvil.rpc, deployment.token.address, payee.address)) - before).toBe(400n);
  });

  test("core's digest is the token's", async () => {
    const validBefore = second() + 1000;
    const authorization = {
      from: payer.address,
      to: payee.address,
      value: "7",
      validAfter: 0,
      validBefore,
      nonce: fresh(),
    };
    const signature = await payer.signDigest(authorizationDigest(authorization, domainSeparator(domain)));
    const { from, to, nonce } = authorization;
    await send(owner, "transferWithAuthorization", [
      from,
      to,
      7n,
      0n,
      BigInt(validBefore),
      `0x${nonce}`,
      ...split(signature),
    ]);
  });

  test("refuses the wrong kind, the wrong time, the wrong caller, the second spelling and a stranger's signature", async () => {
    const transfer = await signed("transfer");
    expect(await refused(send(payee, "receiveWithAuthorization", [...transfer.head, `0x${transfer.signature}`]))).toBe(
      "reverted",
    );
    const receive = await signed("receive");
    expect(await refused(send(owner, "receiveWithAuthorization", [...receive.head, `0x${receive.signature}`]))).toBe(
      "reverted",
    );
    const early = await signed("transfer", { validAfter: second() + 500 });
    expect(await refused(send(payee, "transferWithAuthorization", [...early.head, `0x${early.signature}`]))).toBe(
      "reverted",
    );
    const late = await signed("transfer", { validBefore: second() - 10 });
    expect(await refused(send(payee, "transferWithAuthorization", [...late.head, `0x${late.signature}`]))).toBe(
      "reverted",
    );
    const { head, signature } = await signed("transfer");
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const high = (order - BigInt(`0x${signature.slice(64, 128)}`)).toString(16).padStart(64, "0");
    const flipped = `0x${signature.slice(0, 64)}${high}${signature.slice(128) === "1b" ? "1c" : "1b"}`;
    expect(await refused(send(payee, "transferWithAuthorization", [...head, flipped]))).toBe("reverted");
    expect(
      await refused(send(payee, "transferWithAuthorization", [payee.address, ...head.slice(1), `0x${signature}`])),
    ).toBe("reverted");
  });

  test("a cancelled authorisation is spent, by both overloads", async () => {
    for (const spell of [split, (s: string) => [`0x${s}`]]) {
      const { head, nonce, signature } = await signed("transfer");
      const cancel = await payer.signDigest(digestOf(types.cancel, word(payer.address.slice(2)), fromHex(nonce)));
      await send(owner, "cancelAuthorization", [payer.address, `0x${nonce}`, ...spell(cancel)]);
      expect(await refused(send(payee, "transferWithAuthorization", [...head, `0x${signature}`]))).toBe("reverted");
    }
  });

  test("is minted by its owner alone", async () => {
    expect(await refused(send(payer, "mint", [payer.address, 1n]))).toBe("reverted");
  });
});

describe("funds", () => {
  const key = (change: object = {}) => ({
    network: `eip155:${anvil.chainId}`,
    asset: deployment.token.address,
    from: payer.address,
    nonce: fresh(),
    ...change,
  });

  test("are asked of the chain", async () => {
    expect(await code(checkFunds(anvil.rpc, { key: key(), amount: "1" }))).toBe("nothing thrown");
    expect(await code(checkFunds(anvil.rpc, { key: key(), amount: "1000001" }))).toBe("FUNDS_INSUFFICIENT");
    expect(await code(checkFunds(anvil.rpc, { key: key({ asset: payee.address }), amount: "1" }))).toBe(
      "CONTRACT_MISSING",
    );
    const nonce = fresh();
    const cancel = await payer.signDigest(digestOf(types.cancel, word(payer.address.slice(2)), fromHex(nonce)));
    await send(owner, "cancelAuthorization", [payer.address, `0x${nonce}`, `0x${cancel}`]);
    expect(await code(checkFunds(anvil.rpc, { key: key({ nonce }), amount: "1" }))).toBe("PAYMENT_REPLAYED");
  });
});

describe("the anchor registry", () => {
  const { abi } = artifacts.AnchorRegistry;
  const anchor = async (from: Wallet, functionName: string, args: readonly unknown[]) => {
    const data = encodeFunctionData({ abi, functionName, args: args as never });
    const call = { from: from.address, to: deployment.anchors.address, data };
    const result = await anvil.rpc.call<string>("eth_call", [call, "latest"]);
    await sendAndWait(anvil.rpc, from, { to: deployment.anchors.address, data });
    return result;
  };
  const root = (n: number): HexString => `0x${n.toString(16).padStart(64, "0")}`;

  test("takes heads of an origin from its owner, growing, within the bound", async () => {
    const origin = await anchor(owner, "claim", ["log.example"]);
    const stranger = await anchor(payer, "claim", ["log.example"]);
    expect(stranger, "the same name under another claimant is another origin").not.toBe(origin);
    expect(await refused(anchor(owner, "claim", ["log.example"]))).toBe("reverted");
    await anchor(owner, "anchor", [origin, 5n, root(1)]);
    expect(await refused(anchor(payer, "anchor", [origin, 2n ** 64n - 1n, root(2)]))).toBe("reverted");
    expect(await refused(anchor(owner, "anchor", [origin, 5n, root(2)]))).toBe("reverted");
    expect(await refused(anchor(owner, "anchor", [origin, 4n, root(2)]))).toBe("reverted");
    expect(await refused(anchor(owner, "anchor", [origin, 6n + (1n << 24n), root(2)]))).toBe("reverted");
    expect(await refused(anchor(owner, "anchor", [origin, 6n, root(0)]))).toBe("reverted");
    await anchor(owner, "anchor", [origin, 9n, root(3)]);
    const at = await anvil.rpc.call("eth_call", [
      {
        to: deployment.anchors.address,
        data: encodeFunctionData({ abi, functionName: "rootAt", args: [origin, 5n] as never }),
      },
      "latest",
    ]);
    expect(at).toBe(root(1));
    await anchor(owner, "offerOwnership", [origin, payer.address]);
    expect(await refused(anchor(payee, "acceptOwnership", [origin]))).toBe("reverted");
    await anchor(payer, "acceptOwnership", [origin]);
    await anchor(payer, "anchor", [origin, 10n, root(4)]);
    expect(await refused(anchor(owner, "anchor", [origin, 11n, root(5)]))).toBe("reverted");
  });
});
