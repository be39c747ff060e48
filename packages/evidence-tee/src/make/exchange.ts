import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** Where an HTTP service of the platform listens. */
export type Endpoint = { readonly socketPath: string } | { readonly url: string };

export type Exchange = {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** JSON value or text. */
  readonly body?: string;
  readonly contentType?: string;
  /** Bytes of an answer that are read at most. */
  readonly limit: number;
  /** Milliseconds. */
  readonly timeout?: number;
};

/** One HTTP exchange with a service inside the enclave; any answer but 200 is an error. */
export function exchange(endpoint: Endpoint, ask: Exchange): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const body = ask.body === undefined ? undefined : Buffer.from(ask.body);
    const options = {
      method: ask.method,
      timeout: ask.timeout ?? 10_000,
      headers: {
        ...(body && { "content-type": ask.contentType ?? "application/json", "content-length": body.length }),
        connection: "close",
      },
    };
    const made =
      "socketPath" in endpoint
        ? httpRequest({ ...options, socketPath: endpoint.socketPath, path: ask.path, host: "localhost" })
        : endpoint.url.startsWith("https:")
          ? // The platform's own certificate is self-signed: what authenticates the answer is the document's signature.
            httpsRequest(new URL(ask.path, endpoint.url), { ...options, rejectUnauthorized: false })
          : httpRequest(new URL(ask.path, endpoint.url), options);
    made.once("timeout", () => made.destroy(new Error("it did not answer in time")));
    made.once("error", reject);
    made.once("response", (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > ask.limit) made.destroy(new Error(`its answer is longer than ${ask.limit} bytes`));
        else parts.push(part);
      });
      response.once("error", reject);
      response.once("end", () => {
        if (response.statusCode === 200) resolve(Buffer.concat(parts));
        else reject(new Error(`it answered with status ${response.statusCode}`));
      });
    });
    made.end(body);
  });
}
