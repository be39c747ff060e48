import { writeFile } from "node:fs/promises";
import { CountersignError, custodyClasses, fromHex, parseTrust } from "@countersign/core";
import { ed25519Signer } from "@countersign/core/node";
import type { Command } from "commander";
import { showChecks } from "../evidence/show-report.ts";
import { readText } from "../files.ts";
import { registerEnclave } from "../network/register-node.ts";
import { note, paint, print, printable, printJson } from "../terminal.ts";

type Options = {
  readonly node: string;
  readonly gateway: string;
  readonly trust: string;
  readonly custody: string;
  readonly custodyGround: string;
  readonly operator: string;
  readonly days: string;
  readonly out?: string;
  readonly allowDevelopment?: boolean;
  readonly json?: boolean;
};

const grounds = ["cloud-identity", "key-certificate", "contract", "none"] as const;

const oneOf = <T extends string>(name: string, known: readonly T[], text: string): T => {
  const found = known.find((k) => k === text);
  if (found !== undefined) return found;
  throw new CountersignError("COMMAND_MISUSED", { message: `${name} is one of ${known.join(", ")}.` });
};

/** A seed out of the environment: never an argument, which every user of the machine could read. @throws COMMAND_MISUSED */
export function seedOf(variable: string): Uint8Array {
  const text = process.env[variable];
  if (text !== undefined && /^[0-9a-f]{64}$/.test(text)) return fromHex(text);
  throw new CountersignError("COMMAND_MISUSED", {
    message:
      text === undefined ? `${variable} is not set.` : `${variable} does not hold 64 lowercase hexadecimal digits.`,
    remedy: `Set ${variable} to the Ed25519 seed.`,
  });
}

/** `countersign node register`: a registrar registers the keys that were born in an enclave. */
export function nodeRegisterCommand(node: Command): void {
  node
    .command("register")
    .summary("check an enclave node's attestation and register its keys")
    .description(
      "Draws a nonce, checks the attestation that answers it, signs the registration (COUNTERSIGN_REGISTRAR_SEED), hands it to the node (COUNTERSIGN_NODE_TOKEN) and to the gateway, which logs it. Nothing is handed out for a document that is refused.",
    )
    .requiredOption("--node <url>", "address of the enclave's node")
    .requiredOption("--gateway <url>", "gateway that keeps the document and logs the registration")
    .requiredOption("--trust <file>", "whom and which measurements to believe; it must name this registrar")
    .requiredOption("--custody <class>", `where you know the machine to be: ${custodyClasses.join(", ")}`)
    .requiredOption("--custody-ground <word>", `what your word for it rests on: ${grounds.join(", ")}`)
    .requiredOption("--operator <name>", "who runs it")
    .option("--days <n>", "how long the registration holds, at most 400", "90")
    .option("--out <file>", "keep the registration, for countersign verify and node evidence --registration FILE")
    .option("--allow-development", "register a simulated enclave: a stand-in that shows nothing about hardware")
    .option("--json", "print JSON")
    .action(async (options: Options) => {
      const days = Number(options.days);
      if (!Number.isInteger(days) || days < 1 || days > 400)
        throw new CountersignError("COMMAND_MISUSED", { message: "--days takes a whole number from 1 to 400." });
      const trust = parseTrust(await readText(options.trust));
      const done = await registerEnclave({
        nodeUrl: options.node,
        gatewayUrl: options.gateway,
        token: process.env.COUNTERSIGN_NODE_TOKEN ?? null,
        registrar: ed25519Signer(seedOf("COUNTERSIGN_REGISTRAR_SEED")),
        trust,
        custody: oneOf("--custody", custodyClasses, options.custody),
        custodyGround: oneOf("--custody-ground", grounds, options.custodyGround),
        operator: options.operator,
        notAfter: Date.now() + days * 86_400_000,
        now: Date.now,
        allowDevelopment: options.allowDevelopment ?? false,
        onChecks: (checks) => !options.json && print(`${showChecks(checks)}\n`),
      });
      if (options.out !== undefined) await writeFile(options.out, `${JSON.stringify(done.registration)}\n`);
      const { keysetDigest, facts } = done.accepted;
      if (options.json)
        return printJson({ keyset: keysetDigest, facts, registration: done.registration, entry: done.entry });
      print(`${paint("green", "registered")} keyset ${keysetDigest}`);
      print(`until ${new Date(done.notAfter).toISOString()}, ${printable(JSON.stringify(done.entry))}`);
      if (facts.assurance === "simulated") note("It is a simulated enclave: nobody's default trust believes it.");
    });
}
