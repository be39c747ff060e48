import { attestationFormats, collateralKinds } from "@countersign/core";
import { type Command, Option } from "commander";
import { frames } from "./file-form.ts";

const group = "Raw attestation documents (docs/tee.md):";

/** Adds what `--evidence` takes, as a group of its own in the help. */
export function evidenceOptions(command: Command): void {
  const rows: readonly (readonly [string, string])[] = [
    [
      "--evidence <file>",
      'a raw attestation document: binary, hex, base64 or the vendor\'s JSON; "-" for standard input',
    ],
    ["--format <format>", `what it is: ${attestationFormats.join(", ")}, attestation`],
    ["--frame <frame>", `unwrap it first: ${frames.join(", ")}`],
    ["--signature <file>", "tpm2: the signature beside the quote"],
    [
      "--collateral <file...>",
      `what the check needs besides, as [KIND=]FILE: ${collateralKinds.join(", ")} (forms: docs/tee.md)`,
    ],
    ["--vcek <file>", "sev-snp: certificate of the chip's key (VCEK or VLEK), DER or PEM"],
    ["--chain <file>", "sev-snp: ASK and ARK, PEM"],
    ["--crl <file>", "sev-snp: AMD's revocation list, DER"],
    ["--binding <hex>", "the 32 bytes that it must attest"],
    ["--measurement <id...>", "accepted measurements; without it the measurement is compared with nothing"],
    ["--max-age <seconds>", "how old it may be without a nonce of yours (default: 300)"],
    ["--floor <name=n...>", "least level of a component, such as microcode=213 (sev-snp) or pceSvn=13 (tdx, sgx)"],
    ["--root <sha256=assurance...>", "a root to believe besides the vendors'"],
    ["--registration <file...>", "attestation: registrations of its key"],
    ["--allow-debug", "look at a document in debug mode: such an enclave proves nothing, its host can read it"],
    ["--allow-status <status...>", "accept this level of the platform besides up-to-date"],
    ["--allow-advisory <id...>", "accept this advisory beside an accepted level"],
    [
      "--without <check...>",
      "do without a check that cannot run (revocation, tcb, attributes, freshness); one that fails still refuses",
    ],
  ];
  for (const [flags, text] of rows) command.addOption(new Option(flags, text).helpGroup(group));
}
