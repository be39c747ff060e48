import { rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { CountersignError, fromBase64, toBase64 } from "@countersign/core";
import { type LauncherRequest, launcherRequestShape, mostLineBytes } from "@countersign/evidence-tee/make";
import { type Boot, type Booted, bootedShape } from "./boot.ts";

/** What the launcher does for its enclave. */
export type LauncherCalls = {
  readonly attest: (args: {
    readonly userData: Uint8Array;
    readonly nonce: Uint8Array | null;
    readonly publicKey: Uint8Array | null;
  }) => Uint8Array;
  readonly extend: (register: number, data: Uint8Array) => void;
  readonly lock: (register: number) => void;
};

/** The socket on which one enclave reaches its launcher. */
export type LauncherSocket = {
  /** What the enclave said at its start. Rejects with TEE_UNAVAILABLE when it went away without a word. */
  readonly booted: Promise<Booted>;
  /** Whether the enclave has asked for its start: then `booted` settles, with its word or without. */
  readonly isStarted: () => boolean;
  readonly close: () => Promise<void>;
};

function answer(request: LauncherRequest, calls: LauncherCalls): unknown {
  const bytes = (text: string | null) => (text === null ? null : fromBase64(text));
  switch (request.op) {
    case "attest": {
      const { userData, nonce, publicKey } = request;
      const document = calls.attest({
        userData: fromBase64(userData),
        nonce: bytes(nonce),
        publicKey: bytes(publicKey),
      });
      return { document: toBase64(document) };
    }
    case "extend":
      calls.extend(request.register, fromBase64(request.data));
      return { ok: true };
    case "lock":
      calls.lock(request.register);
      return { ok: true };
  }
}

/**
 * Serves one enclave: its start, once, and then documents and registers. The first line of a connection says which.
 *
 * The start goes to whoever asks first, which is the process that was just started: the folder is this user's alone.
 */
export async function serveEnclave(path: string, boot: Boot, calls: LauncherCalls): Promise<LauncherSocket> {
  const open = new Set<Socket>();
  let started = false;
  let settle: { resolve: (word: Booted) => void; reject: (error: unknown) => void } | undefined;
  const booted = new Promise<Booted>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Whoever starts the launcher waits for it; a start that fails before that must not end the process by itself.
  booted.catch(() => undefined);
  const server: Server = createServer((socket) => {
    open.add(socket);
    let text = "";
    let lifeline = false;
    socket.on("error", () => undefined);
    socket.once("close", () => {
      open.delete(socket);
      if (lifeline)
        settle?.reject(new CountersignError("TEE_UNAVAILABLE", { message: "The enclave ended before it served." }));
    });
    const line = (one: string) => {
      if (lifeline) return settle?.resolve(bootedShape.parse(JSON.parse(one)));
      const value: unknown = JSON.parse(one);
      if (typeof value === "object" && value !== null && "op" in value && value.op === "boot") {
        if (started) throw new Error("it has started already");
        started = true;
        lifeline = true;
        return socket.write(`${JSON.stringify(boot)}\n`);
      }
      return socket.write(`${JSON.stringify(answer(launcherRequestShape.parse(value), calls))}\n`);
    };
    socket.on("data", (part: Buffer) => {
      text += part.toString("utf8");
      if (text.length > mostLineBytes) return socket.destroy();
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const one = text.slice(0, end);
        text = text.slice(end + 1);
        try {
          line(one);
        } catch (error) {
          const why = CountersignError.is(error) ? error.detail.message : "the request cannot be read";
          socket.end(`${JSON.stringify({ error: why })}\n`);
        }
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return {
    booted,
    isStarted: () => started,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

/** A socket that answers belongs to an enclave that runs; one that does not was left behind. @throws CONFIG_INVALID */
export async function requireUnused(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
  if (answers) {
    throw new CountersignError("CONFIG_INVALID", {
      message: "Another enclave runs from this state folder.",
      remedy: "Stop it, or name another folder as `state`.",
    });
  }
  await rm(path, { force: true });
}
