import { CountersignError, type ErrorCode } from "@countersign/core";
import { Command, CommanderError } from "commander";
import { paint } from "./terminal.ts";

type Add = (program: Command) => void;

/** Every command with its line of help. A command's code is loaded when it is asked for: `verify` needs no engine and no chain. */
const commands: readonly { readonly name: string; readonly summary: string; readonly load: () => Promise<Add> }[] = [
  {
    name: "up",
    summary: "start a whole network on this machine",
    load: async () => (await import("./commands/up.ts")).upCommand,
  },
  {
    name: "demo",
    summary: "show what holds: every level, every model, every fraud",
    load: async () => (await import("./commands/demo.ts")).demoCommand,
  },
  {
    name: "chat",
    summary: "talk to a model; each answer shows its verdict",
    load: async () => (await import("./commands/chat.ts")).chatCommand,
  },
  {
    name: "infer",
    summary: "run a model on tensors, or on the input of its task",
    load: async () => (await import("./commands/infer.ts")).inferCommand,
  },
  {
    name: "verify",
    summary: "check a receipt, or a raw attestation document, offline",
    load: async () => (await import("./commands/verify.ts")).verifyCommand,
  },
  {
    name: "replay",
    summary: "run an open model again and compare with the receipt",
    load: async () => (await import("./commands/replay.ts")).replayCommand,
  },
  {
    name: "receipt",
    summary: "look into a receipt, or open single fields of it",
    load: async () => (await import("./commands/receipt.ts")).receiptCommand,
  },
  {
    name: "models",
    summary: "models as content-addressed, signed manifests",
    load: async () => (await import("./commands/models.ts")).modelsCommand,
  },
  {
    name: "measurement",
    summary: "records of what stands behind an enclave's measured code",
    load: async () => (await import("./commands/measurement.ts")).measurementCommand,
  },
  {
    name: "keys",
    summary: "make a seed, and show the public key of one",
    load: async () => (await import("./commands/keys.ts")).keysCommand,
  },
  {
    name: "log",
    summary: "read and check the transparency log",
    load: async () => (await import("./commands/log.ts")).logCommand,
  },
  {
    name: "doctor",
    summary: "what is missing on this machine, and how to get it",
    load: async () => (await import("./commands/doctor.ts")).doctorCommand,
  },
  ...(["gateway", "node", "auditor"] as const).map((name) => ({
    name,
    summary: `run ${name === "auditor" ? "an" : "a"} ${name} alone, with a configuration file`,
    load: async () => (await import("./commands/serve.ts")).serveCommand(name),
  })),
];

async function program(argv: readonly string[]): Promise<Command> {
  const root = new Command("countersign")
    .description("Inference that can be checked: ask, pay, and keep a receipt that anyone can verify offline.")
    .version("0.0.0")
    .showSuggestionAfterError(true)
    .showHelpAfterError("Run countersign --help for all commands.")
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText("after", "\nExit: 0 met · 1 refuted · 2 unmet or unproven · 64 wrong use · 69 unreachable.");
  const asked = argv[0] === "help" ? argv[1] : argv.find((word) => !word.startsWith("-"));
  for (const { name, summary, load } of commands) {
    if (name === asked) (await load())(root);
    else root.command(name).summary(summary);
  }
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
    await (await program(argv)).parseAsync([...argv], { from: "user" });
  } catch (error) {
    process.exitCode = explain(error, argv.includes("--json"));
  }
}

/** What to do in the words of this command line, where the library's own are about its options. */
const remedies: Partial<Record<ErrorCode, string>> = {
  WALLET_MISSING: "Set COUNTERSIGN_WALLET_KEY to the paying key, or use --local.",
  SPEND_CAP_EXCEEDED: "Raise --budget, or ask for fewer tokens.",
  MODEL_UNKNOWN: "List what there is: countersign models offered, or countersign models list.",
};

function inOurWords(error: CountersignError): CountersignError {
  const remedy = remedies[error.code];
  return remedy === undefined ? error : new CountersignError(error.code, { ...error.detail, remedy });
}

function explain(error: unknown, json: boolean): number {
  // Commander has printed its own message; help and version end here too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64;
  const known = CountersignError.is(error)
    ? inOurWords(error)
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
