import { hash } from "node:crypto";
import { CountersignError } from "@countersign/core";
import { type EnclaveImage, type ImagePart, listImage, stateOf } from "./image.ts";

/** What an image is from now on. */
export type ImageSeal = {
  /** @throws TEE_UNAVAILABLE when anything of it was written, added or taken away since, or cannot be measured any more */
  readonly require: () => void;
};

/** Milliseconds for which a look counts: it costs 50 of them, and documents may be asked for by the hundred. */
const lookLife = 1000;

/**
 * Looks at every file and folder of an image without reading them: the same text as before means that nothing was written
 * there in between, also nothing that was put back since.
 */
function inspectImage(parts: readonly ImagePart[]): string {
  const folders: string[] = [];
  const found = listImage(parts, (path) => folders.push(path));
  const lines = [
    ...found.map((p) => `${p.inside}\0${p.kind === "link" ? `link\0${p.target}` : stateOf(p.host, "file")}\n`),
    ...folders.map((path) => `${path}\0folder\0${stateOf(path, "folder")}\n`),
  ];
  return hash("sha384", lines.join(""), "hex");
}

/**
 * Notes how an image's files and folders stand. Taken before the image is measured, it covers the measuring too.
 *
 * @param now Milliseconds of a clock that only goes forward.
 */
export function sealImage(
  { code, runtime }: Pick<EnclaveImage, "code" | "runtime">,
  now: () => number = () => performance.now(),
): ImageSeal {
  const parts = [...code, ...runtime];
  const first = inspectImage(parts);
  let looked = Number.NEGATIVE_INFINITY;
  return {
    require() {
      if (now() - looked < lookLife) return;
      if (inspectImage(parts) !== first)
        throw new CountersignError("TEE_UNAVAILABLE", {
          message: "The code, the runtime or a library was changed on the disk after it was measured.",
          why: "What runs may no longer be what the document says.",
          remedy: "Start the enclave again: it measures what is there now.",
        });
      looked = now();
    },
  };
}
