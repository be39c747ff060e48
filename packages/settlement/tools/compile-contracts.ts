// Compiles contracts/*.sol into src/contracts/artifacts.json: {name: {abi, bytecode}}. The same source gives the same bytes.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const folder = new URL("../contracts/", import.meta.url);

type Output = {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[];
  readonly contracts: Readonly<
    Record<
      string,
      Record<string, { readonly abi: unknown; readonly evm: { readonly bytecode: { readonly object: string } } }>
    >
  >;
};

/** The artifacts of every contract in the folder. @throws Error with the compiler's words. */
export function compileContracts(): Record<string, { readonly abi: unknown; readonly bytecode: string }> {
  const solc = require("solc") as { compile: (input: string, callbacks: object) => string };
  const files = readdirSync(folder).filter((name) => name.endsWith(".sol"));
  files.sort();
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(files.map((name) => [name, { content: readFileSync(new URL(name, folder), "utf8") }])),
    settings: {
      optimizer: { enabled: true, runs: 1_000_000 },
      viaIR: true,
      evmVersion: "cancun",
      // Without the metadata hash the bytes depend on the code alone, not on comments or file names.
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const find = (path: string) => ({ contents: readFileSync(require.resolve(path), "utf8") });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find })) as Output;
  if (output.errors?.length) throw new Error(output.errors.map((e) => e.formattedMessage).join("\n"));
  const ours = files.flatMap((name) => Object.entries(output.contracts[name] ?? {}));
  return Object.fromEntries(ours.map(([name, c]) => [name, { abi: c.abi, bytecode: `0x${c.evm.bytecode.object}` }]));
}

if (import.meta.main) {
  const text = `${JSON.stringify(compileContracts(), null, 1)}\n`;
  writeFileSync(new URL("../src/contracts/artifacts.json", import.meta.url), text);
}
