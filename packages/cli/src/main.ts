import { CountersignError } from "@countersign/core";
import { Command, CommanderError } from "commander";
import { chatCommand } from "./commands/chat.ts";
import { demoCommand } from "./commands/demo.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { inferCommand } from "./commands/infer.ts";
import { logCommand } from "./commands/log.ts";
import { modelsCommand } from "./commands/models.ts";
import { receiptCommand } from "./commands/receipt.ts";
import { replayCommand } from "./commands/replay.ts";
import { serveCommands } from "./commands/serve.ts";
import { upCommand } from "./commands/up.ts";
import { verifyCommand } from "./commands/verify.ts";
import { paint } from "./terminal.ts";

function program(): Command {
  const root = new Command("countersign")
    .description("Inference that can be checked: ask, pay, and keep a receipt that anyone can verify offline.")
    .version("0.0.0")
    .showSuggestionAfterError(true)
    .showHelpAfterError("Run countersign --help for all commands.")
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText("after", "\nExit: 0 met · 1 refuted · 2 unmet or unproven · 64 wrong use · 69 unreachable.");
  const commands = [
    upCommand,
    demoCommand,
    chatCommand,
    inferCommand,
    verifyCommand,
    replayCommand,
    receiptCommand,
    modelsCommand,
    logCommand,
    doctorCommand,
    serveCommands,
  ];
  for (const add of commands) add(root);
  const strict = (command: Command) => {
    command.exitOverride();
    command.commands.forEach(strict);
  };
  strict(root);
  return root;
}

/** Runs one command line. Failures become a message, a code and an exit status, never a stack trace. */
export async function main(argv: readonly string[]): Promise<void> {
  // A closed pipe (`| head`) is the reader's choice, not a failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  try {
    await program().parseAsync([...argv], { from: "user" });
  } catch (error) {
    process.exitCode = explain(error, argv.includes("--json"));
  }
}

function explain(error: unknown, json: boolean): number {
  // Commander has printed its own message; help and version end here too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64;
  const known = CountersignError.is(error)
    ? error
    : new CountersignError("INTERNAL", {
        message: `Something failed that should not: ${error instanceof Error ? error.message : String(error)}`,
        remedy: "Run it again with COUNTERSIGN_DEBUG=1 to see where, and report it.",
        cause: error,
      });
  if (json)
    process.stdout.write(
      `${JSON.stringify({ error: { code: known.code, message: known.detail.message, why: known.detail.why, remedy: known.detail.remedy, facts: known.detail.facts } })}\n`,
    );
  else process.stderr.write(`${paint("red", "error", process.stderr)} ${known.message}\n`);
  if (process.env.COUNTERSIGN_DEBUG !== undefined) process.stderr.write(`${String((error as Error).stack)}\n`);
  return known.exit;
}
