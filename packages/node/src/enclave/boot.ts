import { connect, type Socket } from "node:net";
import { attestationShape, CountersignError, type ErrorCode, errorTable } from "@countersign/core";
import * as z from "zod";
import { nodeConfigShape } from "../config.ts";

/** What a node's configuration says about its host is not measured: a machine's paths are no part of what runs. */
export const measuredConfigShape = nodeConfigShape.omit({
  registration: true,
  catalogue: true,
  state: true,
  host: true,
  port: true,
  enclave: true,
});

/** What the launcher tells the enclave when it starts, once. */
export const bootShape = z.strictObject({
  /** Measured into PCR 2. */
  config: measuredConfigShape,
  /** Folders and socket as the enclave sees them; not measured. */
  places: z.strictObject({ catalogue: z.string(), state: z.string(), serve: z.string() }),
  token: z.string(),
  provenance: attestationShape.shape.provenance,
  sealingKey: z.string().regex(/^[0-9a-f]{64}$/),
  newKeys: z.boolean(),
});
export type Boot = z.infer<typeof bootShape>;

/** What the enclave says back, once. */
export const bootedShape = z.discriminatedUnion("status", [
  z.strictObject({ status: z.literal("serving"), key: z.string(), attestation: z.string() }),
  z.strictObject({ status: z.literal("failed"), code: z.string(), message: z.string() }),
]);
export type Booted = z.infer<typeof bootedShape>;

/** The connection between an enclave and its launcher: as long as it stands, both run. */
export type Lifeline = {
  readonly boot: Boot;
  readonly tell: (word: Booted) => Promise<void>;
  readonly onEnd: (act: () => void) => void;
};

/** Asks the launcher for its start. @throws TEE_UNAVAILABLE */
export function openLifeline(path: string): Promise<Lifeline> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(path);
    const failed = (why: string, cause?: unknown) =>
      reject(
        new CountersignError("TEE_UNAVAILABLE", {
          message: "This program runs inside an enclave, started by its launcher.",
          why,
          remedy: "Start the launcher: countersign node --enclave simulated CONFIG",
          cause,
        }),
      );
    let text = "";
    const read = (part: Buffer) => {
      text += part.toString("utf8");
      if (!text.endsWith("\n")) return;
      socket.off("data", read);
      socket.resume();
      try {
        resolve({
          boot: bootShape.parse(JSON.parse(text)),
          tell: (word) => new Promise((done) => socket.write(`${JSON.stringify(word)}\n`, () => done())),
          onEnd: (act) => void socket.once("close", act),
        });
      } catch (cause) {
        failed("The launcher's word cannot be read.", cause);
      }
    };
    socket.on("data", read);
    socket.once("error", (cause) => failed("The launcher cannot be reached.", cause));
    socket.once("close", () => failed("The launcher ended the connection."));
    socket.write(`${JSON.stringify({ op: "boot" })}\n`);
  });
}

/** An error as it was inside. */
export const revive = (code: string, message: string): CountersignError =>
  new CountersignError(code in errorTable ? (code as ErrorCode) : "TEE_UNAVAILABLE", { message });
