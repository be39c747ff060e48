import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { CountersignError, type Hex, sha256Hex } from "@countersign/core";

/** Pieces of collateral by the SHA-256 of their bytes, in one folder. What was put once is never changed or removed. */
export type CollateralStore = {
  /** Keeps the bytes and returns their digest. @throws TEE_COLLATERAL_UNAVAILABLE */
  readonly put: (bytes: Uint8Array) => Promise<Hex>;
  /** The bytes of a digest, or undefined. @throws TEE_COLLATERAL_UNAVAILABLE when the file is not what its name says */
  readonly get: (digest: Hex) => Promise<Uint8Array | undefined>;
};

const errorCode = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

/** Opens a store, making its folder where there is none. */
export async function openCollateralStore(folder: string): Promise<CollateralStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const get = async (digest: Hex): Promise<Uint8Array | undefined> => {
    // It becomes a file's name.
    if (!/^[0-9a-f]{64}$/.test(digest)) return undefined;
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(await readFile(join(folder, digest)));
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
    if (sha256Hex(bytes) === digest) return bytes;
    throw new CountersignError("TEE_COLLATERAL_UNAVAILABLE", {
      message: `The stored collateral ${digest} is not what its name says.`,
      why: "Its file was changed or damaged after it was stored.",
      remedy: "Remove the file and collect it again, or take it from a copy.",
    });
  };
  return {
    get,
    async put(bytes) {
      const digest = sha256Hex(bytes);
      if (await get(digest)) return digest;
      const draft = join(folder, `.${randomUUID()}`);
      const file = await open(draft, "wx", 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      try {
        // Unlike a rename, a link never takes the place of a file that is there.
        await link(draft, join(folder, digest));
      } catch (error) {
        if (errorCode(error) !== "EEXIST") throw error;
        await get(digest);
      } finally {
        await rm(draft, { force: true });
      }
      return digest;
    },
  };
}
