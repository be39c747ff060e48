// The README's commands as a new user types them, each a process of its own, against the network that `up` starts.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const bin = fileURLToPath(new URL("../../packages/cli/bin/countersign.js", import.meta.url));
let folder: string;
let up: ChildProcess;
let shown = "";

type Ran = { readonly code: number; readonly out: string; readonly err: string };
const countersign = (...args: readonly string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], { cwd: folder, encoding: "utf8" }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "countersign-readme-"));
  up = spawn(process.execPath, [bin, "up", "--port", "0", "--models", "countersign-pocket,lande-50"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      shown += chunk.toString("utf8");
      if (shown.includes("Serving.")) resolve();
    };
    up.stdout?.on("data", read);
    up.stderr?.on("data", read);
    up.once("exit", (code) => reject(new Error(`countersign up ended with ${code}:\n${shown}`)));
  });
});

afterAll(async () => {
  if (up.exitCode === null) up.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

test("up checks one paid inference per level and model, and says that it is a development network", () => {
  expect(shown).toContain("DEVELOPMENT NETWORK");
  expect(shown).toContain("Every answer was paid, receipted and met its policy");
  for (const level of ["signature", "signature & logged", "audit", "tee", "tee & signature"])
    expect(shown).toMatch(new RegExp(`^${level} +countersign-pocket +met`, "m"));
});

test("chat, save, verify: met with the trust file and the word for development, not met without either", async () => {
  const chat = await countersign("chat", "What is the capital of France?", "--local", "--save", "receipt.json");
  expect(chat).toMatchObject({ code: 0 });
  expect(chat.out).toContain("Paris");
  expect(chat.out).toContain("DEVELOPMENT");
  const trusted = ["--trust", "trust.dev.json"];
  expect(await countersign("verify", "receipt.json", ...trusted, "--allow-development")).toMatchObject({ code: 0 });
  expect((await countersign("verify", "receipt.json", ...trusted)).code).toBe(2);
  const nobody = await countersign("verify", "receipt.json", "--json");
  expect(nobody.code).toBe(2);
  expect(JSON.parse(nobody.out)).toMatchObject({ outcome: "unmet" });
});

test("an answer that was altered afterwards is refuted", async () => {
  await writeFile(join(folder, "answer.txt"), "The capital of France is Lyon.");
  const altered = await countersign(
    "verify",
    "receipt.json",
    "--output",
    "answer.txt",
    "--trust",
    "trust.dev.json",
    "--allow-development",
  );
  expect(altered.code).toBe(1);
  expect(altered.out).toContain("OUTPUT_MISMATCH");
});

test("one field is opened and the rest stays closed", async () => {
  expect(
    await countersign("receipt", "disclose", "receipt.json", "--fields", "params", "--to", "shown.json"),
  ).toMatchObject({ code: 0 });
  const text = await readFile(join(folder, "shown.json"), "utf8");
  const mine = JSON.parse(await readFile(join(folder, "receipt.json"), "utf8")) as {
    holder: { receiptSecret: string };
  };
  expect(text).not.toContain(mine.holder.receiptSecret);
  expect(text).not.toContain(Buffer.from("Paris").toString("base64url"));
  const shownReceipt = await countersign("receipt", "show", "shown.json", "--json");
  expect(JSON.parse(shownReceipt.out)).toMatchObject({ holder: false });
  expect((await countersign("receipt", "disclose", "shown.json", "--fields", "rawRequest")).err).toContain(
    "DISCLOSURE_IMPOSSIBLE",
  );
});

test("the example of the README runs as it stands", async () => {
  const example = fileURLToPath(new URL("../../examples/chat.ts", import.meta.url));
  const ran = await new Promise<Ran>((resolve) => {
    execFile(process.execPath, [example], { cwd: folder, encoding: "utf8" }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
  expect(ran).toMatchObject({ code: 0 });
  expect(ran.out).toContain("The capital of France is Paris. | met |");
  expect(await countersign("verify", "receipt.json", "--trust", "trust.dev.json", "--allow-development")).toMatchObject(
    { code: 0 },
  );
});

test("a second network from the same folder is refused, and the first goes on", async () => {
  const second = await countersign("up", "--port", "0", "--models", "lande-50");
  expect(second.code).toBe(69);
  expect(second.err).toContain("NETWORK_RUNNING");
  expect(await countersign("models", "offered", "--local")).toMatchObject({ code: 0 });
});

test("the open model, run again, gives the same tokens", async () => {
  expect(await countersign("replay", "receipt.json", "--local")).toMatchObject({ code: 0 });
});

test("a friendly task, the models, and a log that hashes to its checkpoint", async () => {
  const said = await countersign("infer", "lande-50", "--text", "Wo ist der nächste Bahnhof?", "--local", "--json");
  const answer = JSON.parse(said.out) as { outcome: string; answer: { languages: readonly { language: string }[] } };
  expect(answer.outcome).toBe("met");
  expect(answer.answer.languages[0]?.language).toBe("deu");
  const offered = await countersign("models", "offered", "--local", "--json");
  expect((JSON.parse(offered.out) as { id: string }[]).map((m) => m.id).sort()).toEqual([
    "countersign-pocket",
    "lande-50",
  ]);
  expect(await countersign("models", "verify", "countersign-pocket")).toMatchObject({ code: 0 });
  expect(await countersign("log", "fsck", "--local")).toMatchObject({ code: 0 });
});

test("an enclave's answer meets tee by name of the trust file, and is refused as a simulation without", async () => {
  const asked = ["--local", "--policy", "tee & signature & logged", "--save", "tee.json"] as const;
  const chat = await countersign("chat", "What is the capital of France?", ...asked);
  expect(chat).toMatchObject({ code: 0 });
  expect(chat.out).toContain("Paris");
  const trusted = ["--trust", "trust.dev.json"];
  const met = await countersign("verify", "tee.json", ...trusted, "--allow-development");
  expect(met).toMatchObject({ code: 0 });
  for (const more of [trusted, []]) {
    const refused = await countersign("verify", "tee.json", ...more);
    expect(refused.code).toBe(2);
    expect(refused.out).toContain("TEE_SIMULATED_NOT_ALLOWED");
  }
});

test("what is asked confidentially is in no file of the gateway or of the logs", async () => {
  const secret = "xylophone-4711";
  const asked = ["--local", "--policy", "tee & confidential:tee & logged", "--save", "sealed.json"] as const;
  const chat = await countersign("chat", `Remember ${secret}.`, ...asked);
  expect(chat).toMatchObject({ code: 0 });
  const trusted = ["--trust", "trust.dev.json", "--allow-development"];
  expect(await countersign("verify", "sealed.json", ...trusted)).toMatchObject({ code: 0 });
  const run = join(folder, ".countersign");
  const files = (await readdir(run, { recursive: true, withFileTypes: true })).filter((f) => f.isFile());
  expect(files.length).toBeGreaterThan(20);
  for (const file of files) {
    const text = await readFile(join(file.parentPath, file.name), "latin1").catch(() => "");
    expect(text.includes(secret), join(file.parentPath, file.name)).toBe(false);
  }
});

test("what nobody delivers is refused by name before it is paid", async () => {
  const refused = await countersign("chat", "Hi", "--local", "--policy", "zkml", "--json");
  expect(refused.code).toBe(2);
  expect(JSON.parse(refused.out)).toMatchObject({ error: { code: "ASSURANCE_NOT_OFFERED" } });
});

test.each([
  [["verfy"], 64, "Did you mean verify"],
  [["verify"], 64, "Say what to check"],
  [["verify", "no-such-file.json"], 64, "FILE_UNREADABLE"],
  [["verify", "receipt.json", "--policy", "zk"], 64, "LEVEL_UNKNOWN"],
  [["verify", "receipt.json", "--at", "yesterday"], 64, "COMMAND_MISUSED"],
  [["chat", "Hi", "--gateway", "http://127.0.0.1:9"], 64, "COMMAND_MISUSED"],
  [["receipt", "disclose", "receipt.json", "--feilds", "system"], 64, "--fields"],
] as const)("%j is told what is wrong, without a stack trace", async (args, code, text) => {
  const ran = await countersign(...args);
  expect(ran.code).toBe(code);
  expect(ran.err).toContain(text);
  expect(ran.err).not.toMatch(/^\s+at /m);
});

test("Ctrl-C stops every process and leaves nothing of the run behind", async () => {
  const pids = [...shown.matchAll(/^(?:auditor|enclave|node|gateway) +up +([0-9]+)/gm)].map(([, pid]) => Number(pid));
  expect(pids).toHaveLength(4);
  const ended = new Promise<number | null>((resolve) => up.once("exit", resolve));
  up.removeAllListeners("exit");
  const code = new Promise<number | null>((resolve) => up.once("exit", resolve));
  up.kill("SIGINT");
  expect(await Promise.race([code, ended])).toBe(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  expect((await readdir(join(folder, ".countersign"))).filter((name) => name.startsWith("run-"))).toEqual([]);
  expect(existsSync(join(folder, ".countersign", "local.json"))).toBe(false);
});
