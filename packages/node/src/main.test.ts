import { spawn } from "node:child_process";
import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseNodeConfig, readNodeSecrets } from "./config.ts";
import { nodeKey, nodeSeed, startTestNode, token } from "./fixtures/job.ts";

const main = new URL("./main.ts", import.meta.url).pathname;
const seed = Buffer.from(nodeSeed).toString("hex");
const invalid = expect.objectContaining({ code: "CONFIG_INVALID" });

/** Runs the process until it says a line, or ends. */
async function start(args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH ?? "", ...env },
    stdio: "pipe",
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  let errors = "";
  child.stderr.on("data", (part: Buffer) => {
    errors += part.toString();
  });
  const line = await new Promise<string | undefined>((resolve) => {
    child.stdout.once("data", (part: Buffer) => resolve(part.toString()));
    void ended.then(() => resolve(undefined));
  });
  return { child, line, ended, errors: () => errors };
}

describe("the node's process", () => {
  it("starts from a file and environment, answers, and ends on a signal", async () => {
    const { config, close } = await startTestNode(["lande-50"]);
    await close();
    const dir = await mkdtemp(join(tmpdir(), "countersign-main-"));
    const path = join(dir, "node.json");
    await writeFile(path, JSON.stringify(config));
    await writeFile(join(dir, "seed"), `${seed}\n`);
    await chmod(join(dir, "seed"), 0o600);
    const { child, line, ended } = await start([path], {
      COUNTERSIGN_NODE_SEED_FILE: join(dir, "seed"),
      COUNTERSIGN_NODE_TOKEN: token,
    });
    const { url, key } = JSON.parse(line as string) as { url: string; key: string };
    expect(key).toBe(nodeKey);
    const described = await fetch(`${url}/describe`, { headers: { authorization: `Bearer ${token}` } });
    expect(described.status).toBe(200);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  }, 30_000);

  it("says what is wrong and ends with the code's own status", async () => {
    const { ended, errors } = await start(["/nowhere.json"], {});
    expect(await ended).toBe(64);
    expect(errors()).toContain("CONFIG_INVALID");
  }, 30_000);
});

describe("a configuration", () => {
  it("with an unknown or missing member is refused", () => {
    expect(() => parseNodeConfig({})).toThrow(invalid);
    expect(() => parseNodeConfig({ operator: "x", secret: "y" })).toThrow(invalid);
  });

  it("takes secrets from the environment alone, and no weak ones", async () => {
    expect((await readNodeSecrets({ COUNTERSIGN_NODE_SEED: seed, COUNTERSIGN_NODE_TOKEN: token })).token).toBe(token);
    await expect(readNodeSecrets({ COUNTERSIGN_NODE_TOKEN: token })).rejects.toThrow(invalid);
    await expect(readNodeSecrets({ COUNTERSIGN_NODE_SEED: "12", COUNTERSIGN_NODE_TOKEN: token })).rejects.toThrow(
      invalid,
    );
  });
});
