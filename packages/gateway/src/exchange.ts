import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { CountersignError } from "@countersign/core";

/** One HTTP request and the way to answer it: what the steps of an inference see of HTTP. */
export type Exchange = {
  readonly method: string;
  /** Without query. */
  readonly path: string;
  /** The origin that the caller used, for the 402's resource. */
  readonly url: string;
  /** Every value of a header, in order; a header sent twice has two. */
  readonly headers: (name: string) => readonly string[];
  readonly headerNames: readonly string[];
  /** @throws REQUEST_TOO_LARGE, REQUEST_MALFORMED */
  readonly readBody: (limit: number) => Promise<Uint8Array>;
  /** Aborted when the caller goes away before the answer's end. */
  readonly gone: AbortSignal;
  readonly reply: Reply;
};

/** The answer's way out. */
export type Reply = {
  readonly started: () => boolean;
  readonly start: (status: number, headers: Readonly<Record<string, string>>) => void;
  /** Resolves when there is room for more. */
  readonly write: (data: string | Uint8Array) => Promise<void>;
  readonly end: (data?: string | Uint8Array) => void;
  /** Writes what is waiting and cuts the connection: the caller sees that the answer has no end. */
  readonly cut: () => Promise<void>;
};

/** Headers that pages of other origins may send and read. */
export const corsHeaders: Readonly<Record<string, string>> = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, OPTIONS",
  "access-control-allow-headers": "*, Authorization",
  "access-control-expose-headers": "*",
  "access-control-max-age": "86400",
};

/** What all bodies that are being read may hold together: slow senders hold little of it, and block nobody. */
export type Intake = { held: number; readonly most: number };

/** Milliseconds until a body must be whole, and that a reader may take none of what waits for him. */
const patience = { body: 60_000, reader: 30_000 };

/** An exchange over Node's own request and response: streaming without a second buffer, and a way to cut. */
export function openExchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  intake: Intake = { held: 0, most: Number.POSITIVE_INFINITY },
): Exchange {
  const url = incoming.url ?? "/";
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) gone.abort();
  });
  const distinct = new Map<string, string[]>();
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
    const name = (incoming.rawHeaders[i] as string).toLowerCase();
    const list = distinct.get(name) ?? [];
    distinct.set(name, [...list, incoming.rawHeaders[i + 1] as string]);
  }
  return {
    method: incoming.method ?? "GET",
    path: url.split("?", 1)[0] as string,
    url: `http://${hostOf(distinct.get("host")?.[0])}${url.split("?", 1)[0]}`,
    headers: (name) => distinct.get(name.toLowerCase()) ?? [],
    headerNames: [...distinct.keys()],
    readBody: (limit) => readBody(incoming, limit, intake),
    gone: gone.signal,
    reply: openReply(outgoing, randomUUID()),
  };
}

/** The host that the caller named, if it can be one: it goes into a header of bounded size. */
const hostOf = (given: string | undefined): string =>
  given !== undefined && /^[A-Za-z0-9._:[\]-]{1,255}$/.test(given) ? given : "localhost";

function openReply(outgoing: ServerResponse, requestId: string): Reply {
  return {
    started: () => outgoing.headersSent,
    start(status, headers) {
      outgoing.writeHead(status, { ...corsHeaders, "x-request-id": requestId, ...headers });
    },
    async write(data) {
      if (outgoing.destroyed || outgoing.write(data)) return;
      await new Promise<void>((resolve) => {
        // Who reads nothing for this long holds up a run for others.
        const timer = setTimeout(() => outgoing.destroy(), patience.reader);
        const done = () => {
          clearTimeout(timer);
          outgoing.off("drain", done);
          outgoing.off("close", done);
          resolve();
        };
        outgoing.once("drain", done);
        outgoing.once("close", done);
      });
    },
    end: (data) => {
      if (data === undefined) outgoing.end();
      else outgoing.end(data);
    },
    cut: () =>
      new Promise((resolve) => {
        const destroy = () => {
          outgoing.destroy();
          resolve();
        };
        if (outgoing.destroyed) resolve();
        else outgoing.write("", destroy);
      }),
  };
}

async function readBody(incoming: IncomingMessage, limit: number, intake: Intake): Promise<Uint8Array> {
  const tooLarge = () =>
    new CountersignError("REQUEST_TOO_LARGE", {
      message: `The body is larger than ${limit} bytes.`,
      remedy: "Send less, or ask the gateway's operator for a larger limit.",
    });
  const encoding = incoming.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new CountersignError("REQUEST_MALFORMED", {
      message: `The body is encoded as ${encoding}.`,
      why: "The bytes received are what is committed; a compressed body would have two.",
      remedy: "Send the body as it is.",
    });
  }
  if (Number(incoming.headers["content-length"] ?? 0) > limit) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  const slow = new CountersignError("REQUEST_MALFORMED", {
    message: `The body was not whole after ${patience.body / 1000} seconds.`,
  });
  const timer = setTimeout(() => incoming.destroy(slow), patience.body);
  try {
    for await (const chunk of incoming) {
      size += (chunk as Buffer).length;
      intake.held += (chunk as Buffer).length;
      if (size > limit) throw tooLarge();
      if (intake.held > intake.most) {
        throw new CountersignError("RATE_LIMITED", {
          message: "More request bodies are being read than the gateway has room for.",
          remedy: "Ask again in a moment.",
        });
      }
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (CountersignError.is(error)) throw error;
    throw new CountersignError("RUN_CANCELLED", {
      message: "The caller went away before the body's end.",
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    intake.held -= size;
  }
  const whole = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
}
