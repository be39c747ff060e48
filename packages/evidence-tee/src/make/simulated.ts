import { connect } from "node:net";
import { equalBytes, fromBase64, toBase64 } from "@countersign/core";
import * as z from "zod";
import { type Attester, unavailable } from "./attester.ts";
import { attestedNitro } from "./nitro-attested.ts";

const base64 = (most: number) =>
  z
    .string()
    .max(Math.ceil(most / 3) * 4)
    .regex(/^[A-Za-z0-9+/]*={0,2}$/);

/** What an enclave may ask of its launcher, one JSON object a line. There is no call that gives a key out. */
export const launcherRequestShape = z.discriminatedUnion("op", [
  z.strictObject({
    op: z.literal("attest"),
    userData: base64(512),
    nonce: base64(512).nullable(),
    publicKey: base64(1024).nullable(),
  }),
  z.strictObject({ op: z.literal("extend"), register: z.number().int(), data: base64(512) }),
  z.strictObject({ op: z.literal("lock"), register: z.number().int() }),
]);
export type LauncherRequest = z.infer<typeof launcherRequestShape>;

const attestedShape = z.strictObject({ document: base64(16_384) });
const doneShape = z.strictObject({ ok: z.literal(true) });

/** Bytes of one line on the launcher's socket. */
export const mostLineBytes = 1 << 20;

/** One request to a launcher: a line there, a line back. @throws TEE_UNAVAILABLE */
export function askLauncher<T>(path: string, message: LauncherRequest, answer: z.ZodType<T>): Promise<T> {
  const failed = (why: string, cause?: unknown) => unavailable("simulated", why, cause);
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = "";
    socket.setTimeout(10_000, () => socket.destroy(new Error("it did not answer in time")));
    socket.once("error", (cause) => reject(failed(`The launcher cannot be reached: ${cause.message}.`, cause)));
    socket.once("close", () => reject(failed("The launcher ended the connection without an answer.")));
    socket.on("data", (part: Buffer) => {
      text += part.toString("utf8");
      if (text.length > mostLineBytes) return socket.destroy(new Error("its answer is too long"));
      if (!text.endsWith("\n")) return;
      try {
        const value: unknown = JSON.parse(text);
        const refused = z.strictObject({ error: z.string() }).safeParse(value);
        if (refused.success) reject(failed(`The launcher refused: ${refused.data.error}`));
        else resolve(answer.parse(value));
      } catch (cause) {
        reject(failed("The launcher's answer cannot be read.", cause));
      }
      socket.destroy();
    });
    socket.write(`${JSON.stringify(message)}\n`);
  });
}

/**
 * The simulated enclave's attester: documents in the Nitro format, signed by the launcher under this machine's private
 * root, which proves nothing about hardware (docs/enclave.md).
 *
 * @param path The launcher's unix socket.
 */
export function simulatedAttester(path: string): Attester {
  return {
    platform: "simulated",
    bindsNonce: true,
    modelRegister: 16,
    async attest({ userData, nonce, publicKey }) {
      const { document } = await askLauncher(
        path,
        {
          op: "attest",
          userData: toBase64(userData),
          nonce: nonce && toBase64(nonce),
          publicKey: publicKey ? toBase64(publicKey) : null,
        },
        attestedShape,
      );
      return attestedNitro("simulated", fromBase64(document), { userData: (d) => equalBytes(d, userData), nonce });
    },
    async extend(register, data) {
      await askLauncher(path, { op: "extend", register, data: toBase64(data) }, doneShape);
    },
    async lock(register) {
      await askLauncher(path, { op: "lock", register }, doneShape);
    },
    close: async () => undefined,
  };
}
