// The page as the real gateway of a running network serves it: a fresh receipt is dropped on it and judged there.
import { join, resolve } from "node:path";
import { nodeSuite } from "@countersign/core/node";
import { countersign, privateKeyWallet } from "@countersign/sdk";
import { type Browser, chromium } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromiumFlags, chromiumPath, whySkipped } from "./browser.ts";
import { type JourneyNetwork, startNetwork } from "./network.ts";

const explorer = resolve(import.meta.dirname, "../../packages/explorer");

describe.skipIf(!chromiumPath)(`the page of a running network${whySkipped}`, () => {
  let network: JourneyNetwork;
  let browser: Browser;

  beforeAll(async () => {
    await build({ root: explorer, logLevel: "silent" });
    network = await startNetwork({ models: ["countersign-pocket"], page: join(explorer, "dist") });
    browser = await chromium.launch({ executablePath: chromiumPath as string, args: [...chromiumFlags] });
  });
  afterAll(async () => {
    await browser?.close();
    await network?.stop();
  });

  it("judges a fresh receipt with the network's development trust, and shows its entry in the feed", async () => {
    const client = countersign({
      gateway: network.gatewayUrl,
      trust: network.trust,
      allowDevelopment: true,
      wallet: privateKeyWallet(network.walletKey),
      budget: { perRequest: 10_000, total: 100_000 },
      suite: nodeSuite,
    });
    const { receipt, verdict } = await client.chat([{ role: "user", content: "What is the capital of France?" }], {
      model: "countersign-pocket",
    });
    const complaints: string[] = [];
    const outside: string[] = [];
    const page = await browser.newPage({ viewport: { width: 1320, height: 900 } });
    page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
    page.on("pageerror", (e) => complaints.push(String(e)));
    page.on("request", (r) => !r.url().startsWith(network.gatewayUrl) && outside.push(r.url()));
    await page.goto(`${network.gatewayUrl}/`);
    const file = { name: "receipt.json", mimeType: "", buffer: Buffer.from(JSON.stringify(receipt)) };
    await page.locator("#receipt-file").setInputFiles(file);
    const outcome = (text: string) => page.locator(`#verdict [data-outcome="${text}"]`).waitFor({ timeout: 15_000 });
    await outcome("unmet");
    await page.getByRole("button", { name: "Use this network's development trust" }).click();
    await page.getByRole("checkbox").first().check();
    await outcome("met");
    await page.getByText(String(verdict.receiptRoot).slice(0, 8)).first().waitFor({ timeout: 15_000 });
    if (process.env.PAGE_SHOTS)
      await page.screenshot({ path: join(process.env.PAGE_SHOTS, "live.png"), fullPage: true });
    expect(complaints).toEqual([]);
    expect(outside).toEqual([]);
  });

  it("checks an enclave's attestation in the browser itself, also of an answer that travelled sealed", async () => {
    const client = countersign({
      gateway: network.gatewayUrl,
      trust: network.trust,
      allowDevelopment: true,
      wallet: privateKeyWallet(network.walletKey),
      budget: { perRequest: 20_000, total: 100_000 },
      suite: nodeSuite,
    });
    const { receipt } = await client.chat([{ role: "user", content: "What is the capital of France?" }], {
      model: "countersign-pocket",
      policy: "tee & confidential:tee & logged",
    });
    const page = await browser.newPage({ viewport: { width: 1320, height: 900 } });
    await page.goto(`${network.gatewayUrl}/`);
    const show = async (value: unknown) => {
      const buffer = Buffer.from(JSON.stringify(value));
      await page.locator("#receipt-file").setInputFiles({ name: "receipt.json", mimeType: "", buffer });
    };
    const outcome = (text: string) => page.locator(`#verdict [data-outcome="${text}"]`).waitFor({ timeout: 15_000 });
    await show(receipt);
    await outcome("unmet");
    await page.getByText("TEE_SIMULATED_NOT_ALLOWED").first().waitFor({ state: "attached", timeout: 15_000 });
    await page.getByRole("button", { name: "Use this network's development trust" }).click();
    await page.getByRole("checkbox").first().check();
    await outcome("met");
    await show({ ...receipt, evidence: [] });
    await outcome("unmet");
    if (process.env.PAGE_SHOTS)
      await page.screenshot({ path: join(process.env.PAGE_SHOTS, "tee.png"), fullPage: true });
  });
});
