import { readFile } from "node:fs/promises";
import { type Attestation, attestationShape, CountersignError, parseJson } from "@countersign/core";

/** Logged records of the measurement's build, as an attestation carries them: they prove themselves, and nothing is measured of them. */
export type Provenance = Attestation["provenance"];

/** Reads the records that the configuration names. @throws CONFIG_INVALID with the file at fault */
export async function readProvenance(paths: readonly string[] = []): Promise<Provenance> {
  return Promise.all(
    paths.map(async (path) => {
      try {
        return attestationShape.shape.provenance.element.parse(parseJson(await readFile(path, "utf8")));
      } catch (cause) {
        throw new CountersignError("CONFIG_INVALID", {
          message: `The file ${path} is no record with its place in the log.`,
          remedy: "Name what countersign measurement publish saved.",
          cause,
        });
      }
    }),
  );
}
