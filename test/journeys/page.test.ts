import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromiumFlags, chromiumPath, whySkipped } from "./browser.ts";
import { makeWorld, type World } from "./page-world.ts";

const explorer = resolve(import.meta.dirname, "../../packages/explorer");
const types: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

describe.skipIf(!chromiumPath)(`the first page, in a browser${whySkipped}`, () => {
  let dir: string;
  let server: Server;
  let browser: Browser;
  let origin: string;
  let world: World;
  let streams: ServerResponse[] = [];
  const loaded: string[] = [];
  const complaints: string[] = [];

  const markup = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

  function answer(url: string): unknown {
    const { pathname, searchParams } = new URL(url, "http://page.test");
    if (pathname === "/trust.dev.json") return world.trust;
    if (pathname === "/v1/network") return { network: world.trust.network, development: true };
    if (pathname === "/v1/log/entries") {
      const from = Number(searchParams.get("from"));
      const shown = world.entries.slice(0, -1);
      return { entries: shown.slice(from, from + Number(searchParams.get("count"))) };
    }
    if (pathname === "/v1/models") {
      const countersign = {
        digest: "5a".repeat(32),
        deployment: { id: "smol", version: 3, node: "01".repeat(32) },
        levels: ["signature", "reexecution"],
        price: { base: "200", perInputKiB: "10", perOutputToken: "3" },
        tasks: ["chat", "completion"],
        scope: "inference",
        guarantees: ["signature", "signature & logged", "reexecution & signature"],
        title: `SmolLM2 ${markup}`,
        licence: "Apache-2.0",
        quantisation: "Q8_0",
        about: { job: "Short answers" },
        labels: ["development"],
      };
      return { data: [{ id: "smollm2-135m-instruct", countersign }, { id: "somebody-else's-model" }] };
    }
    return undefined;
  }

  beforeAll(async () => {
    world = await makeWorld({ at: Date.now() - 1000, system: `Be brief. ${markup}`, text: "Reykjavík." });
    dir = await mkdtemp(join(tmpdir(), "countersign-page-"));
    await build({ root: explorer, logLevel: "silent", build: { outDir: dir, emptyOutDir: true } });
    server = createServer(async (request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://page.test");
      if (pathname === "/v1/log/events") {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(": hello\n\n");
        streams.push(response);
        return;
      }
      if (pathname === "/log/checkpoint") {
        response.writeHead(200, { "content-type": "text/plain; charset=utf-8" }).end(world.checkpoint);
        return;
      }
      const json = answer(request.url ?? "/");
      if (json !== undefined) {
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(json));
        return;
      }
      const file = join(dir, pathname === "/" ? "index.html" : pathname.slice(1));
      const body = await readFile(file).catch(() => undefined);
      const type = types[extname(file)] ?? "application/octet-stream";
      response.writeHead(body ? 200 : 404, { "content-type": type, "content-security-policy": policy }).end(body);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({ executablePath: chromiumPath as string, args: [...chromiumFlags] });
  });

  afterAll(async () => {
    await browser?.close();
    for (const stream of streams) stream.end();
    await new Promise((done) => server?.close(done));
    await rm(dir, { recursive: true, force: true });
  });

  async function open(address = `${origin}/`, width = 1320): Promise<Page> {
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    page.on("request", (r) => loaded.push(r.url()));
    page.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
    page.on("pageerror", (e) => complaints.push(String(e)));
    await page.goto(address);
    return page;
  }

  async function shoot(page: Page, name: string): Promise<void> {
    const shots = process.env.PAGE_SHOTS;
    if (!shots) return;
    await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
    for (const id of ["verdict", "detail"]) {
      const part = page.locator(`#${id}`);
      if (await part.isVisible()) await part.screenshot({ path: join(shots, `${name}-${id}.png`) });
    }
  }

  // Files are read asynchronously, so the outcome is waited for; a wrong one times out.
  const outcome = (page: Page, expected: string) =>
    page.locator(`#verdict [data-outcome="${expected}"]`).waitFor({ timeout: 10_000 });

  async function put(page: Page, id: string, text: string): Promise<void> {
    await page.locator(`#${id}-file`).setInputFiles({ name: "anything", mimeType: "", buffer: Buffer.from(text) });
  }

  async function believe(page: Page, allow: boolean): Promise<void> {
    await page.getByRole("button", { name: "Use this network's development trust" }).click();
    await page.getByText("countersign up, this machine").waitFor();
    if (allow) await page.getByLabel("Allow development trust").check();
  }

  it("believes nobody by default, and says what is not proven", async () => {
    const page = await open();
    expect(await page.getByLabel("Allow development trust").isChecked()).toBe(false);
    await shoot(page, "empty");
    await put(page, "receipt", world.answer);
    await outcome(page, "unmet");
    const unproven = (await page.locator(".side.unproven").textContent()) ?? "";
    for (const claim of ["Issuer", "Request", "Prompt", "Model", "Execution", "Output", "Logged"]) {
      expect(unproven).toContain(claim);
    }
    expect(await page.locator("#trust-state").textContent()).toContain("You believe nobody yet");
    expect(await page.locator("#verdict").getAttribute("aria-live")).toBe("polite");
    await shoot(page, "nobody");
    await page.close();
  });

  it("finds a sound receipt met under development trust, once that is allowed, and marks it", async () => {
    const page = await open();
    await put(page, "receipt", world.answer);
    await put(page, "request", world.request);
    await believe(page, false);
    await outcome(page, "unmet");
    expect(await page.locator("#verdict").textContent()).not.toContain("Every demand");
    await page.getByLabel("Allow development trust").check();
    await outcome(page, "met");
    expect(await page.locator(".tape").textContent()).toContain("Development");
    expect(await page.locator("#verdict").textContent()).toContain("Final");
    expect(await page.locator(".side.unproven").textContent()).toContain("Execution");
    await shoot(page, "met");
    await page.locator("#theme").click();
    await page.locator("#theme").click();
    await shoot(page, "met-dark");
    await page.close();
  });

  it("judges by the policy that the reader demands", async () => {
    const page = await open();
    await put(page, "receipt", world.answer);
    await put(page, "request", world.request);
    await believe(page, true);
    await page.getByLabel("Policy that you demand").fill("zkml");
    await page.getByLabel("Policy that you demand").blur();
    await outcome(page, "unmet");
    await page.getByLabel("Policy that you demand").fill("no such level");
    await page.getByLabel("Policy that you demand").blur();
    await outcome(page, "error");
    expect(await page.locator("#detail").textContent()).toBe("");
    await page.close();
  });

  it("refutes an altered answer, even when nobody is believed", async () => {
    const page = await open();
    await put(page, "receipt", world.answer.replace("Reykjavík.", "Oslo."));
    await outcome(page, "refuted");
    expect(await page.locator(".check.failed").first().textContent()).toContain("OUTPUT_MISMATCH");
    await shoot(page, "refuted");
    await put(page, "output", world.answer);
    await outcome(page, "unmet");
    await page.close();
  });

  it("shows markup in a receipt as text", async () => {
    const page = await open();
    const opened = JSON.stringify({ ...world.receipt, holder: null, openings: (await withSystem()).openings });
    await put(page, "receipt", opened);
    const field = page.locator(".field", { hasText: "System prompt" });
    await field.locator("summary").click();
    expect(await field.locator("pre").textContent()).toBe(`Be brief. ${markup}`);
    expect(await page.locator(".models > .model").first().textContent()).toContain(markup);
    const forged = { ...world.receipt, format: `countersign/receipt/v1${markup}` };
    await put(page, "receipt", JSON.stringify(forged));
    await page.locator(".check.failed", { hasText: "RECEIPT_MALFORMED" }).waitFor();
    expect(await page.title()).not.toBe("owned");
    expect(await page.locator("img, main script").count()).toBe(0);
    await page.close();
  });

  async function withSystem() {
    const { completeReceipt } = await import("@countersign/verify");
    const body = new TextEncoder().encode(world.request);
    return completeReceipt(world.receipt, { request: { method: "POST", path: "/v1/chat/completions", body } });
  }

  it("shows the log as it grows and recounts the levels", async () => {
    const page = await open();
    await page.locator(".entry").first().waitFor();
    expect(await page.locator(".entry").count()).toBe(world.entries.length - 1);
    const delivered = page.locator(".bar", { hasText: "Delivered" });
    expect(await delivered.locator("svg").getAttribute("aria-label")).toBe(
      "Delivered: proof 25 %, simulated 25 %, signature 50 %",
    );
    expect(await page.locator(".bars").textContent()).toContain("4 receipts, 1 synthetic");
    await expect.poll(() => streams.length).toBeGreaterThan(0);
    const { bytes: _, ...last } = world.entries.at(-1) as World["entries"][number];
    for (const stream of streams) stream.write(`id: 8\nevent: entry\ndata: ${JSON.stringify(last)}\n\n`);
    await page.locator(`.entry[data-index="${world.entries.length - 1}"]`).waitFor();
    const newest = page.locator(".entry").first();
    expect(await newest.textContent()).toContain("signature + log");
    expect(await newest.locator(".flags").textContent()).toBe("development");
    await page.close();
  });

  it("works by keyboard alone and on a narrow screen", async () => {
    const page = await open(`${origin}/`, 390);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the check");
    await page.locator("#receipt").focus();
    await page.keyboard.insertText(world.answer);
    await page.getByRole("button", { name: "Check the receipt" }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#verdict [data-outcome]").waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    await shoot(page, "narrow");
    await page.close();
  });

  it("checks from a disk, with no server behind it", async () => {
    const page = await open(pathToFileURL(join(dir, "index.html")).href);
    await put(page, "receipt", world.answer);
    await put(page, "request", world.request);
    await put(page, "trust", JSON.stringify(world.trust));
    await page.getByLabel("Allow development trust").check();
    await outcome(page, "met");
    expect(await page.locator("#log").textContent()).toContain("No gateway serves this page");
    const script = (await readFile(join(dir, "build.json"), "utf8")).match(/countersign-([0-9a-f]{64})/)?.[1];
    expect(await page.locator("#build").textContent()).toBe(script);
    await page.close();
  });

  it("loaded nothing from anywhere else and broke no content policy", () => {
    expect(loaded.length).toBeGreaterThan(20);
    const own = [origin, pathToFileURL(dir).href, "data:"];
    expect(loaded.filter((url) => !own.some((o) => url.startsWith(o)))).toEqual([]);
    expect(complaints).toEqual([]);
    streams = [];
  });
});
