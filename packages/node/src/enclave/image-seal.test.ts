import { chmod, link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { program } from "./fixtures/program.ts";
import { sealImage } from "./image-seal.ts";

const refused = expect.objectContaining({ code: "TEE_UNAVAILABLE" });

/** A program, sealed, with a clock that makes every look a new one. */
async function sealed() {
  const made = await program();
  let at = 0;
  const clock = { step: 1000 };
  const { require } = sealImage(made.image(), () => {
    at += clock.step;
    return at;
  });
  return { ...made, require, clock };
}

describe.skipIf(process.platform !== "linux")("a sealed image", () => {
  it("holds while nothing is written", async () => {
    const { base, put, require } = await sealed();
    require();
    await put("packages/node/README.md", "not part of it either");
    await readFile(join(base, "packages/node/src/main.ts"));
    expect(require).not.toThrow();
  });

  it.each<[string, (base: string, put: (path: string, text: string) => Promise<void>) => Promise<unknown>]>([
    ["another file", (_, put) => put("packages/node/src/main.ts", "export { };")],
    ["a file more", (_, put) => put("node_modules/dep/more.js", "2")],
    ["a file less", (base) => rm(join(base, "node_modules/dep/index.js"))],
    ["another lockfile", (_, put) => put("package-lock.json", "{ }")],
    ["other rights", (base) => chmod(join(base, "packages/node/src/main.ts"), 0o777)],
    [
      "one that was put back",
      async (_, put) => {
        await put("packages/node/src/main.ts", "evil()  ;");
        await put("packages/node/src/main.ts", "export {};");
      },
    ],
    [
      "one that was there for a moment",
      async (base, put) => {
        await put("packages/node/src/shadow.ts", "evil()");
        await rm(join(base, "packages/node/src/shadow.ts"));
      },
    ],
    [
      "the same bytes in another place",
      async (base) => {
        const path = join(base, "packages/node/src/main.ts");
        await writeFile(`${base}/aside`, await readFile(path));
        await rename(`${base}/aside`, path);
      },
    ],
    ["a second name by which it can be written", (base) => link(join(base, "package-lock.json"), `${base}/other`)],
  ])("is broken by %s", async (_, act) => {
    const { base, put, require } = await sealed();
    require();
    await act(base, put);
    expect(require).toThrow(refused);
    expect(require).toThrow(refused);
  });

  it("is looked at once a second at most", async () => {
    const { put, require, clock } = await sealed();
    require();
    clock.step = 1;
    await put("packages/node/src/main.ts", "export { };");
    expect(require).not.toThrow();
    clock.step = 1000;
    expect(require).toThrow(refused);
  });
});
