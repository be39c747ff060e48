import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Somebody between client and gateway, and what he changes. */
export type Meddling = {
  readonly request?: (body: string) => string;
  readonly answer?: (body: string) => string;
};

/** A server of this process. */
export type Server = { readonly url: string; readonly close: () => Promise<void> };

/** Serves a function of Node's own request and response on a free port of loopback. */
export async function listenOn(
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>,
): Promise<Server> {
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

// Hop-by-hop headers, and those that a changed body would belie.
const dropped = new Set([
  "host",
  "connection",
  "content-length",
  "content-encoding",
  "transfer-encoding",
  "keep-alive",
]);

/** Passes one request on to `target` and its answer back, headers and all, except for what is changed. */
export async function passOn(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { request, answer }: Meddling = {},
): Promise<void> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString("utf8");
    const headers = Object.entries(incoming.headers).flatMap(([k, v]) =>
      dropped.has(k) || v === undefined ? [] : [[k, String(v)] as [string, string]],
    );
    const method = incoming.method ?? "GET";
    const post = method === "POST";
    const response = await fetch(new URL(incoming.url ?? "/", target), {
      method,
      headers,
      ...(post && { body: request ? request(body) : body }),
    });
    const text = await response.text();
    outgoing.writeHead(response.status, [...response.headers].filter(([k]) => !dropped.has(k)).flat());
    outgoing.end(post && response.ok && answer ? answer(text) : text);
  } catch {
    outgoing.destroy();
  }
}

/** Somebody between the client and `target`. */
export const openProxy = (target: string, meddling: Meddling): Promise<Server> =>
  listenOn((incoming, outgoing) => passOn(target, incoming, outgoing, meddling));
