import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { CountersignError, type Hex, readAttestation, toHex } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { checkAttestation } from "@countersign/evidence-tee";
import { lookUp } from "@countersign/verify";
import type { Command } from "commander";
import { conclusion, printBlocks, showChecks } from "../evidence/show-report.ts";
import { readRegistrations, readTrust } from "../files.ts";
import { fetchAttestation, fetchRegistration } from "../network/enclave-node.ts";
import { note, printJson } from "../terminal.ts";
import { showAttestation } from "./verify-evidence.ts";

type Options = {
  readonly node: string;
  readonly nonce?: string;
  readonly trust?: string;
  readonly registration?: readonly string[];
  readonly allowDevelopment?: boolean;
  readonly out?: string;
  readonly json?: boolean;
};

/** `countersign node evidence`: an enclave node's attestation, fetched with a fresh nonce and checked. */
export function nodeEvidenceCommand(node: Command): void {
  node
    .command("evidence")
    .summary("fetch and check an enclave node's attestation")
    .description(
      "Asks an enclave's node for an attestation that answers a fresh nonce and shows it; with --trust it is judged. The token comes from COUNTERSIGN_NODE_TOKEN. Exit 0 accepted, 2 not, or nobody was trusted.",
    )
    .requiredOption("--node <url>", "address of the enclave's node")
    .option("--nonce <hex>", "the nonce to ask with (default: a fresh one)")
    .option("--trust <file>", "whom and which measurements to believe; without it nobody")
    .option("--registration <file...>", "registrations of its key (default: the one that the node shows)")
    .option("--allow-development", "let a simulated enclave stand in for hardware")
    .option("--out <file>", "keep the attestation's bytes, for countersign verify --evidence FILE --format attestation")
    .option("--json", "print JSON")
    .action(async (options: Options) => {
      if (options.nonce !== undefined && !/^[0-9a-f]{64}$/.test(options.nonce))
        throw new CountersignError("COMMAND_MISUSED", { message: "--nonce takes 64 lowercase hexadecimal digits." });
      const nonce = (options.nonce ?? toHex(randomBytes(32))) as Hex;
      const token = process.env.COUNTERSIGN_NODE_TOKEN ?? null;
      const attestation = await fetchAttestation(options.node, token, nonce);
      if (options.out !== undefined) await writeFile(options.out, attestation);
      const trust = await readTrust(options.trust);
      // A registration says where the machine stands. Whoever hands it over, only a trusted registrar's signature counts.
      const shown = options.registration === undefined ? await fetchRegistration(options.node, token) : undefined;
      const registrations = shown === undefined ? await readRegistrations(options.registration) : [shown];
      const at = Date.now();
      const { checks, outcome } = checkAttestation({
        attestation,
        registrations,
        trust,
        at,
        nonce,
        suite: nodeSuite,
        allowDevelopment: options.allowDevelopment ?? false,
        inLog: (entry, proof) => lookUp(entry, proof, trust, at, nodeSuite),
      });
      process.exitCode = outcome.status === "accepted" ? 0 : 2;
      if (options.json) return printJson({ attestation: readAttestation(attestation), nonce, checks, outcome });
      const obstacle = outcome.status === "refused" ? { code: outcome.code, why: outcome.reason } : undefined;
      printBlocks([
        showAttestation(attestation),
        showChecks(checks),
        conclusion({ at, obstacle }, `under the trust "${trust.name}"`),
      ]);
      if (registrations.length === 0)
        note("The node shows no registration, so its custody is unknown: register it, or give --registration FILE.");
      if (options.trust === undefined) note("No trust file was named, so nobody is believed: --trust FILE.");
    });
}
