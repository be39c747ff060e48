// Writes kernels/kernels.wasm, its digest, and the TypeScript file that carries it to browsers.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildKernels } from "./kernels.ts";

const root = join(import.meta.dirname, "..");
const { wasm, sha256, carrier } = await buildKernels();
writeFileSync(join(root, "kernels", "kernels.wasm"), wasm);
writeFileSync(join(root, "kernels", "kernels.sha256"), `${sha256}  kernels.wasm\n`);
writeFileSync(join(root, "src", "kernels", "module.ts"), carrier);
console.log(`${wasm.length} bytes, SHA-256 ${sha256}`);
