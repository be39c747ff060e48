import { readFile } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";
import { CountersignError } from "@countersign/core";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};

// The page checks receipts: nothing from elsewhere may run in it. Other gateways and logs may be read from it.
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function decode(path: string, missing: () => CountersignError): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw Object.assign(missing(), { cause });
  }
}

/** A file of the explorer page. @throws ENDPOINT_UNKNOWN */
export async function readPage(dir: string, path: string): Promise<Response> {
  const missing = () => new CountersignError("ENDPOINT_UNKNOWN", { message: `There is nothing at ${path}.` });
  const file = normalize(join(dir, path === "/" ? "index.html" : decode(path, missing)));
  if (!file.startsWith(normalize(dir + sep))) throw missing();
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw Object.assign(missing(), { cause });
  }
  const type = types[extname(file)] ?? "application/octet-stream";
  const cache = path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
  return new Response(new Uint8Array(bytes), {
    headers: {
      "content-type": type,
      "cache-control": cache,
      "content-security-policy": policy,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    },
  });
}
