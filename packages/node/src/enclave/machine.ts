import { createPrivateKey, hkdfSync, randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { CountersignError, fromBase64, fromHex, toBase64, utf8 } from "@countersign/core";
import { type IssuedCertificate, makeCertificate, pemOf } from "@countersign/evidence-tee/make";
import * as z from "zod";

/** What one machine's launchers share: a private root that proves nothing about hardware, and a secret to seal under. */
export type Machine = {
  readonly root: IssuedCertificate;
  /** 32 bytes for sealed storage, by this machine and PCR 0, 1, 2. */
  readonly sealingKey: (registers: readonly Uint8Array[]) => Uint8Array;
};

const year = 365 * 24 * 3_600_000;
const fileShape = z.strictObject({
  format: z.literal("countersign/simulated-machine/v1"),
  root: z.string(),
  key: z.string(),
  secret: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Folder of the machine's private root: never part of a project, never committed. */
export const machineHome = (env: Readonly<Record<string, string | undefined>>): string =>
  env.COUNTERSIGN_ENCLAVE_HOME ?? join(homedir(), ".countersign", "enclave");

function draw(now: number): z.infer<typeof fileShape> {
  const root = makeCertificate({
    // The name is a warning to whoever looks; what refuses it is that no trust pins it.
    subject: `SIMULATED-NOT-A-TEE root ${randomBytes(4).toString("hex")}`,
    keyType: "P-384",
    notBefore: now - 3_600_000,
    notAfter: now + 5 * year,
    ca: true,
  });
  return {
    format: "countersign/simulated-machine/v1",
    root: toBase64(root.der),
    key: root.key.export({ type: "pkcs8", format: "pem" }).toString(),
    secret: randomBytes(32).toString("hex"),
  };
}

/**
 * Opens this machine's root and secret, or makes them, once: two launchers that start together get the same.
 *
 * @throws CONFIG_INVALID when others may read the file, or it is none of ours
 */
export async function openMachine(home: string, now: number): Promise<Machine> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const path = join(home, "machine.json");
  const there = await stat(path).catch(() => undefined);
  if (!there) {
    const made = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
    const file = await open(made, "wx", 0o600);
    await file.writeFile(`${JSON.stringify(draw(now))}\n`);
    await file.close();
    // The first one to link wins; the other takes what is there.
    await link(made, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    await rm(made, { force: true });
  }
  const invalid = (message: string, cause?: unknown) => new CountersignError("CONFIG_INVALID", { message, cause });
  if (((await stat(path)).mode & 0o077) !== 0)
    throw invalid(`${path} can be read by other users: its root could have signed anything.`);
  try {
    const { root, key, secret } = fileShape.parse(JSON.parse(await readFile(path, "utf8")));
    const der = fromBase64(root);
    return {
      root: { der, pem: pemOf(der), key: createPrivateKey(key) },
      // Not PCR 16: a new model must not cost the node its keys and registration; documents show it to verifiers anyway.
      sealingKey: (registers) =>
        new Uint8Array(
          hkdfSync(
            "sha256",
            fromHex(secret),
            utf8("countersign/sealed/v1"),
            Buffer.concat(registers as Uint8Array[]),
            32,
          ),
        ),
    };
  } catch (cause) {
    throw invalid(`${path} is not a simulated machine's file.`, cause);
  }
}
