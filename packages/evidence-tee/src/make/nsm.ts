import { type ChildProcess, spawn } from "node:child_process";
import { equalBytes } from "@countersign/core";
import { decode, encode } from "cborg";
import { type Attester, unavailable } from "./attester.ts";
import { attestedNitro } from "./nitro-attested.ts";

/** Limits of the device's two buffers, bytes. */
const mostRequest = 4096;
const mostResponse = 12_288;

/** Sends one CBOR request to the device and gives its CBOR answer. */
export type NsmDevice = {
  readonly request: (message: Uint8Array) => Promise<Uint8Array>;
  readonly close: () => Promise<void>;
};

type Failed = (why: string, cause?: unknown) => ReturnType<typeof unavailable>;
const failedOn =
  (platform: string): Failed =>
  (why, cause) =>
    unavailable(platform, why, cause);

/**
 * The device behind the static helper (packages/node/enclave/nsm-helper.c), since this runtime has no ioctl: frames of
 * u32 big-endian length and CBOR on its standard input and output, one answer for each request, in order.
 *
 * @param limit Milliseconds for one answer.
 * @param platform What errors name: nitriding has documents of its own and uses the device for registers alone.
 * @throws TEE_UNAVAILABLE when the helper is not there, ends, is silent, or answers more than it was asked
 */
export function openNsmHelper(path: string, limit = 10_000, platform = "NSM"): NsmDevice {
  const failed = failedOn(platform);
  const child: ChildProcess = spawn(path, [], { stdio: ["pipe", "pipe", "inherit"], env: {} });
  const waiting: { resolve: (answer: Uint8Array) => void; reject: (error: unknown) => void }[] = [];
  let held = Buffer.alloc(0);
  let ended: unknown;
  const end = (error: unknown) => {
    ended ??= error;
    for (const { reject } of waiting.splice(0)) reject(ended);
    child.kill("SIGKILL");
  };
  child.once("error", (cause) => end(failed(`The helper ${path} did not start.`, cause)));
  child.once("exit", (code, signal) => end(failed(`The helper ended: ${signal ?? `status ${code}`}.`)));
  child.stdin?.on("error", (cause) => end(failed("The helper takes no more.", cause)));
  child.stdout?.on("data", (part: Buffer) => {
    held = Buffer.concat([held, part]);
    while (held.length >= 4) {
      const length = held.readUInt32BE(0);
      if (length > mostResponse) return end(failed(`The helper announces an answer of ${length} bytes.`));
      if (held.length < 4 + length) return;
      const answer = new Uint8Array(held.subarray(4, 4 + length));
      held = held.subarray(4 + length);
      const next = waiting.shift();
      if (!next) return end(failed("The helper answers what nobody asked."));
      next.resolve(answer);
    }
  });
  return {
    request: (message) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        if (message.length > mostRequest) return reject(failed(`The request has ${message.length} bytes.`));
        const timer = setTimeout(() => end(failed(`The device did not answer within ${limit / 1000} s.`)), limit);
        const settle =
          <T>(act: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer);
            act(value);
          };
        waiting.push({ resolve: settle(resolve), reject: settle(reject) });
        const head = Buffer.alloc(4);
        head.writeUInt32BE(message.length);
        child.stdin?.write(Buffer.concat([head, message]));
      }),
    close: async () => {
      ended ??= failed("It was closed.");
      child.kill("SIGKILL");
    },
  };
}

const strict = { useMaps: true, rejectDuplicateMapKeys: true, allowIndefinite: true, allowUndefined: false } as const;

function decodeAnswer(answer: Uint8Array, failed: Failed): unknown {
  try {
    return decode(answer, strict);
  } catch (cause) {
    throw failed("The device's answer is not CBOR.", cause);
  }
}

/** The value under an answer's one name. @throws TEE_UNAVAILABLE for the device's own errors and for any other answer */
function bodyOf(answer: Uint8Array, name: string, failed: Failed): unknown {
  const value = decodeAnswer(answer, failed);
  // An answer without contents is its name as text.
  if (value === name) return null;
  if (!(value instanceof Map) || value.size !== 1) throw failed(`The device's answer is not a ${name}.`);
  if (value.has("Error")) throw failed(`The device refused: ${String(value.get("Error"))}.`);
  if (!value.has(name)) throw failed(`The device's answer is not a ${name}.`);
  return value.get(name);
}

function bytesOf(body: unknown, name: string, failed: Failed): Uint8Array {
  const bytes = body instanceof Map && body.size === 1 ? body.get(name) : undefined;
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) throw failed(`The device's answer has no ${name}.`);
  return bytes;
}

/** The Nitro Secure Module's three calls that an enclave needs. @param platform What errors name. */
export function nsmCalls(device: NsmDevice, platform = "NSM") {
  const failed = failedOn(platform);
  return {
    async attest(userData: Uint8Array, nonce: Uint8Array | null, publicKey: Uint8Array | null): Promise<Uint8Array> {
      const request = { Attestation: { user_data: userData, nonce, public_key: publicKey } };
      return bytesOf(bodyOf(await device.request(encode(request)), "Attestation", failed), "document", failed);
    },
    async extend(register: number, data: Uint8Array): Promise<void> {
      const answer = await device.request(encode({ ExtendPCR: { index: register, data } }));
      if (bytesOf(bodyOf(answer, "ExtendPCR", failed), "data", failed).length !== 48)
        throw failed("The register has not 48 bytes.");
    },
    async lock(register: number): Promise<void> {
      bodyOf(await device.request(encode({ LockPCR: { index: register } })), "LockPCR", failed);
    },
  };
}

/** An AWS Nitro enclave's own device. Model digests go into PCR 16, which is then locked. */
export function nsmAttester(device: NsmDevice): Attester {
  const calls = nsmCalls(device);
  return {
    platform: "nsm",
    bindsNonce: true,
    modelRegister: 16,
    async attest({ userData, nonce, publicKey }) {
      const document = await calls.attest(userData, nonce, publicKey ?? null);
      return attestedNitro("NSM", document, { userData: (d) => equalBytes(d, userData), nonce });
    },
    extend: calls.extend,
    lock: calls.lock,
    close: device.close,
  };
}
