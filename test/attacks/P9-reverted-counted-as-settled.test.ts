import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { authorizationDigest, CountersignError, domainSeparator, type Payment } from "@countersign/core";
import { fundGas, generatePrivateKey, openSettleQueue, openWallet, readBalance } from "@countersign/settlement";
import { openStore } from "@countersign/store";
import { expect, test } from "vitest";
import { useWorld } from "./worlds.ts";

const world = useWorld();

test("P9: a payment that the token refuses, or that moves nothing, is never counted as settled", async () => {
  const { chain, contracts, domain } = world.get();
  const folder = mkdtempSync(join(tmpdir(), "countersign-p9-"));
  const store = openStore({ file: join(folder, "state.db") });
  const sender = openWallet(generatePrivateKey());
  await fundGas(chain.rpc, sender.address);
  const { chainId } = contracts;
  const queue = openSettleQueue({ store, rpc: chain.rpc, chainId, wallet: sender, pause: 20 });
  const payTo = openWallet(generatePrivateKey()).address;
  // A wallet with nothing in it: the authorisation is well signed and cannot move anything.
  const poor = openWallet(generatePrivateKey());
  const pay = async (nonce: string, token = contracts.token.address): Promise<Payment> => {
    const validBefore = Math.floor(Date.now() / 1000) + 600;
    const authorization = { from: poor.address, to: payTo, value: "1000", validAfter: 0, validBefore, nonce };
    const signature = await poor.signDigest(authorizationDigest(authorization, domainSeparator(domain)));
    const { name, version } = domain;
    const network = `eip155:${chainId}`;
    return {
      scheme: "exact",
      network,
      token: { address: token, name, version },
      authorization,
      signature,
      salt: null,
      chargeable: "1000",
    };
  };
  const code = (payment: Payment) =>
    queue.settle(payment).then(
      () => "settled",
      (error: unknown) => (CountersignError.is(error) ? error.code : "other"),
    );
  try {
    expect(await code(await pay("01".repeat(32)))).toBe("SETTLEMENT_REVERTED");
    // An address without code "succeeds" and moves nothing (P2): no transfer in the logs, no settlement.
    expect(await code(await pay("02".repeat(32), `0x${"12".repeat(20)}`))).toBe("SETTLEMENT_NO_TRANSFER");
    expect(await readBalance(chain.rpc, contracts.token.address, payTo)).toBe(0n);
  } finally {
    await queue.close();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
