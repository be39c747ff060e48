import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/**
 * Names each asset by the SHA-256 of its bytes and lists all digests in build.json, so that anybody can compare the
 * page that a gateway serves with the one that the source gives. The script becomes a classic one: browsers refuse
 * module scripts from files, and the page must also work from a disk.
 */
function nameByDigest(): Plugin {
  return {
    name: "name-by-digest",
    apply: "build",
    transformIndexHtml: { order: "post", handler: (html) => html.replace(/type="module" crossorigin/g, "defer") },
    writeBundle({ dir }) {
      const root = dir as string;
      const assets = join(root, "assets");
      let page = readFileSync(join(root, "index.html"), "utf8").replace(
        /rel="stylesheet" crossorigin/g,
        'rel="stylesheet"',
      );
      const files: Record<string, string> = {};
      for (const name of readdirSync(assets).sort()) {
        const digest = sha256(readFileSync(join(assets, name)));
        const named = `${name.split("-")[0]}-${digest}${name.slice(name.lastIndexOf("."))}`;
        renameSync(join(assets, name), join(assets, named));
        page = page.replaceAll(name, named);
        files[`assets/${named}`] = digest;
      }
      writeFileSync(join(root, "index.html"), page);
      writeFileSync(join(root, "build.json"), `${JSON.stringify({ page: sha256(page), files }, null, 2)}\n`);
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [nameByDigest()],
  build: {
    target: "es2022",
    modulePreload: false,
    // A script that injects styles would break the content policy.
    cssCodeSplit: false,
    rollupOptions: {
      output: {
        format: "iife",
        entryFileNames: "assets/countersign-[hash].js",
        assetFileNames: "assets/style-[hash][extname]",
      },
    },
  },
});
