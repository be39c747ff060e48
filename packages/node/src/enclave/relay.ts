import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { CountersignError } from "@countersign/core";

/** Passes bytes between a port and the enclave's socket: a sandbox without a network is reached by its socket alone. */
export type Relay = { readonly url: string; readonly close: () => Promise<void> };

/** @throws PORT_IN_USE */
export async function openRelay(where: { readonly host: string; readonly port: number }, path: string): Promise<Relay> {
  const open = new Set<Socket>();
  const server: Server = createServer({ noDelay: true, allowHalfOpen: true }, (outer) => {
    const inner = connect({ path, allowHalfOpen: true });
    for (const socket of [outer, inner]) {
      open.add(socket);
      socket.once("close", () => {
        open.delete(socket);
        // Either side's end is the other's: a request whose caller left must stop inside as well.
        outer.destroy();
        inner.destroy();
      });
      socket.on("error", () => undefined);
    }
    outer.pipe(inner);
    inner.pipe(outer);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === "EADDRINUSE"
          ? new CountersignError("PORT_IN_USE", { message: `Port ${where.port} is taken by another process.`, cause })
          : cause,
      ),
    );
    server.listen(where.port, where.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${where.host.includes(":") ? `[${where.host}]` : where.host}:${port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
