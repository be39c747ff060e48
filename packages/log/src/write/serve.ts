import { CountersignError } from "@countersign/core";
import { parseTilePath, tileWidth } from "../tile.ts";
import type { FetchTile } from "../tile-reader.ts";

/**
 * Serves a log's public files to web-standard requests (C2SP tlog-tiles): GET and HEAD, and nothing that is not one of them.
 *
 * `prefix` is the path in front of `checkpoint` and `tile/`, `/` by default.
 */
export function serveLog(options: {
  readonly fetchTile: FetchTile;
  readonly prefix?: string;
}): (request: Request) => Promise<Response> {
  const prefix = options.prefix ?? "/";
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD")
      return new Response("Only GET and HEAD.\n", { status: 405, headers: { allow: "GET, HEAD" } });
    // URL parsing resolves "..", and a path with an escaped byte is none that a log has.
    const { pathname } = new URL(request.url);
    const path = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : "";
    const address = parseTilePath(path);
    if (path !== "checkpoint" && address === undefined) return notFound();
    let bytes: Uint8Array;
    try {
      bytes = await options.fetchTile(path);
    } catch (error) {
      if (CountersignError.is(error, "ENDPOINT_UNKNOWN")) return notFound();
      throw error;
    }
    const headers = {
      "content-type": address ? "application/octet-stream" : "text/plain; charset=utf-8",
      "content-length": String(bytes.length),
      "cache-control": address ? cacheOf(address.width) : "no-store",
      "access-control-allow-origin": "*",
      "x-content-type-options": "nosniff",
    };
    return new Response(request.method === "HEAD" ? null : (bytes as Uint8Array<ArrayBuffer>), { headers });
  };
}

// A partial file never changes either, but it may go once the full one is there.
const cacheOf = (width: number): string =>
  width === tileWidth ? "public, max-age=31536000, immutable" : "public, max-age=3600, immutable";

const notFound = (): Response =>
  new Response("Not a file of this log.\n", { status: 404, headers: { "cache-control": "no-store" } });
