import { mkdir, mkdtemp, realpath, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@countersign/core";
import { describe, expect, it } from "vitest";
import { buildImage, digestImage, listImage } from "./image.ts";

/** A small installed program: a package with a dependency, a linked sister and things that must stay out. */
async function program() {
  const base = await realpath(await mkdtemp(join(tmpdir(), "countersign-image-")));
  const put = async (path: string, text: string) => {
    await mkdir(join(base, path, ".."), { recursive: true });
    await writeFile(join(base, path), text);
  };
  const pkg = (name: string, more = {}) => JSON.stringify({ name, ...more });
  await put("package-lock.json", "{}");
  await put(
    "packages/node/package.json",
    pkg("node", {
      dependencies: { dep: "1", sister: "1", "@types/x": "1" },
      optionalDependencies: { foreign: "1", absent: "1" },
    }),
  );
  await put("packages/node/src/main.ts", "export {};");
  await put("packages/node/README.md", "not part of it");
  await put("packages/sister/package.json", pkg("sister"));
  await put("packages/sister/src/index.ts", "export {};");
  await put("node_modules/dep/package.json", pkg("dep", { dependencies: { deeper: "1" } }));
  await put("node_modules/dep/index.js", "1");
  await put("node_modules/deeper/package.json", pkg("deeper"));
  await put("node_modules/unused/package.json", pkg("unused"));
  await put("node_modules/foreign/package.json", pkg("foreign", { os: ["aix"] }));
  await put("node_modules/@types/x/package.json", pkg("@types/x"));
  await symlink("../packages/sister", join(base, "node_modules/sister"));
  return { base, put, image: () => buildImage(join(base, "packages/node"), "src") };
}

describe.skipIf(process.platform !== "linux")("an image", () => {
  it("is the code, its dependencies and the lockfile, and nothing else", async () => {
    const { image } = await program();
    expect(listImage(image().code).map((p) => p.inside)).toEqual([
      "/app/node_modules/deeper/package.json",
      "/app/node_modules/dep/index.js",
      "/app/node_modules/dep/package.json",
      "/app/node_modules/sister",
      "/app/package-lock.json",
      "/app/packages/node/package.json",
      "/app/packages/node/src/main.ts",
      "/app/packages/sister/package.json",
      "/app/packages/sister/src/index.ts",
    ]);
    expect(image().runtime.map((p) => p.inside)).toContain("/runtime/node");
  });

  it("is another one when anything of it changes, and the same where nothing does", async () => {
    const { image, put } = await program();
    const digest = () => toHex(digestImage(image().code));
    const first = digest();
    expect(digest()).toBe(first);
    await put("packages/node/README.md", "changed, and not part of it");
    await put("node_modules/unused/index.js", "1");
    expect(digest()).toBe(first);
    const seen = new Set([first]);
    for (const [path, text] of [
      ["packages/node/src/main.ts", "export { };"],
      ["packages/node/src/more.ts", ""],
      ["node_modules/dep/index.js", "2"],
      ["package-lock.json", "{ }"],
    ] as const) {
      await put(path, text);
      const next = digest();
      expect(seen.has(next), path).toBe(false);
      seen.add(next);
    }
  });

  it("does not depend on where it lies", async () => {
    const [here, there] = [await program(), await program()];
    expect(toHex(digestImage(here.image().code))).toBe(toHex(digestImage(there.image().code)));
  });
});
