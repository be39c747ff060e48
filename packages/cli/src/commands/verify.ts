import { CountersignError, endpointPaths, parsePolicy, printPolicy, readRun } from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import { type Delivered, verify } from "@countersign/verify";
import type { Command } from "commander";
import { evidenceOptions } from "../evidence/command-options.ts";
import type { EvidenceOptions } from "../evidence/options.ts";
import { readBytes, readReceipt, readText, readTrust } from "../files.ts";
import { exitOf, showVerdict } from "../show-verdict.ts";
import { note, paint, print, printJson } from "../terminal.ts";

type Options = Partial<EvidenceOptions> & {
  readonly request?: string;
  readonly output?: string;
  readonly policy?: string;
};

/** Milliseconds of `--at`: an ISO date, or seconds since the epoch. @throws COMMAND_MISUSED */
export function readTime(text: string | undefined): number {
  if (text === undefined) return Date.now();
  const value = /^[0-9]+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (Number.isFinite(value)) return value;
  throw new CountersignError("COMMAND_MISUSED", {
    message: `"${text}" is not a time.`,
    remedy: "Give --at an ISO date such as 2026-11-21T12:00:00Z, or unix seconds.",
  });
}

/** An answer file: a JSON body or an event stream of an endpoint, else plain text. */
function asOutput(bytes: Uint8Array, text: string): NonNullable<Delivered["output"]> {
  const start = text.trimStart();
  if (start.startsWith("data:") || start.startsWith("event:")) return { body: bytes };
  if (start.startsWith("{")) {
    try {
      const value = JSON.parse(text) as Record<string, unknown>;
      if (["choices", "output", "outputs", "data"].some((k) => k in value)) return { body: bytes };
    } catch {
      // Plain text that begins with a brace.
    }
  }
  return { text: text.replace(/\r?\n$/, "") };
}

/** A receipt or a raw document, never both: an option of the one is no silent no-op for the other. */
function requireOne(file: string | undefined, options: Options, command: Command): void {
  const given = (side: "receipt" | "evidence") =>
    command.options.find((o) => {
      const ofEvidence = o.helpGroupHeading !== undefined;
      const shared = ["trust", "allowDevelopment", "at", "json", "nonce"].includes(o.attributeName());
      return !shared && ofEvidence === (side === "evidence") && o.attributeName() in options;
    });
  const stray = options.evidence === undefined ? given("evidence") : given("receipt");
  if (stray)
    throw new CountersignError("COMMAND_MISUSED", {
      message: `${stray.long} is ${options.evidence === undefined ? "for --evidence" : "for receipts, not for --evidence"}.`,
    });
  if ((file === undefined) !== (options.evidence === undefined)) return;
  throw new CountersignError("COMMAND_MISUSED", {
    message: file === undefined ? "Say what to check." : "Give a receipt or --evidence, not both.",
    remedy: "countersign verify RECEIPT, or countersign verify --evidence FILE --format FORMAT",
  });
}

export function verifyCommand(program: Command): void {
  const command = program
    .command("verify")
    .summary("check a receipt, or a raw attestation document, offline")
    .description(
      "Checks a receipt, or with --evidence a raw attestation document, offline: no network, no clock but --at. Exit 0 met, 1 refuted, 2 unmet or pending.",
    )
    .argument("[file]", 'receipt, or a whole answer that carries one; "-" for standard input')
    .option("--request <file>", "the request body as it was sent")
    .option("--output <file>", "the answer as delivered: JSON body, event stream or plain text")
    .option(
      "--nonce <hex>",
      "a receipt that is not the holder's own copy: the client nonce; --evidence: the nonce that it must answer",
    )
    .option(
      "--policy <policy>",
      'what you demand, such as "signature & logged"; default: what the receipt says was demanded',
    )
    .option("--trust <file>", "whom to believe; without it nobody, and everything stays unproven")
    .option("--allow-development", "let development stand-ins (local chain, fresh roots) ground claims")
    .option("--at <time>", "judge for this time instead of now")
    .option("--json", "print the verdict as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  countersign verify receipt.json --request request.json --output answer.json \\\n    --trust trust.dev.json --allow-development\n  countersign verify --evidence doc.cose --format nitro --at 2025-12-25T13:15:38Z",
    )
    .action(async (file: string | undefined, options: Options) => {
      requireOne(file, options, command);
      if (options.evidence !== undefined || file === undefined) {
        const { verifyEvidence } = await import("./verify-evidence.ts");
        const time = options.at === undefined ? undefined : readTime(options.at);
        return verifyEvidence(options as EvidenceOptions, time, Date.now());
      }
      const receipt = await readReceipt(file);
      const trust = await readTrust(options.trust);
      const at = readTime(options.at);
      const { endpoint } = readRun(receipt.statement).predicate;
      const path = endpointPaths.find((p) => p === endpoint) ?? endpoint;
      const request =
        options.request === undefined ? undefined : { method: "POST", path, body: await readBytes(options.request) };
      const output =
        options.output === undefined
          ? undefined
          : asOutput(await readBytes(options.output), await readText(options.output));
      if (options.nonce !== undefined && !/^[0-9a-f]{64}$/.test(options.nonce)) {
        throw new CountersignError("COMMAND_MISUSED", { message: "--nonce takes 64 lowercase hexadecimal digits." });
      }
      const policy = options.policy === undefined ? undefined : printPolicy(parsePolicy(options.policy));
      const verdict = verify({
        receipt,
        delivered: { request, output, clientNonce: options.nonce },
        policy,
        trust,
        at,
        allowDevelopment: options.allowDevelopment ?? false,
        suite: nodeSuite,
      });
      if (options.json) printJson(verdict);
      else {
        print(showVerdict(verdict));
        if (options.trust === undefined) {
          note(
            paint(
              "yellow",
              "\nNo trust file was named, so nobody is believed. Name one with --trust FILE; there is no public network yet.",
              process.stderr,
            ),
          );
        }
        if (receipt.holder)
          note(
            paint(
              "dim",
              "\nThis is the holder's own copy: it can open every field. Hand on a copy made by `countersign receipt disclose` instead.",
              process.stderr,
            ),
          );
      }
      process.exitCode = exitOf(verdict);
    });
  evidenceOptions(command);
}
