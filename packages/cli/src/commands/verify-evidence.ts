import {
  type AttestationFormat,
  CountersignError,
  fromBase64,
  keyFor,
  readAttestation,
  sha256Hex,
  toHex,
} from "@countersign/core";
import { nodeSuite } from "@countersign/core/node";
import {
  type CheckId,
  checkAttestation,
  type DocumentArgs,
  type DocumentReport,
  formats,
  obstacleOf,
} from "@countersign/evidence-tee";
import { lookUp } from "@countersign/verify";
import { type FoundDocument, joinQuote, readDocuments } from "../evidence/file-form.ts";
import { optionFor } from "../evidence/missing.ts";
import {
  type EvidenceOptions,
  readCollateral,
  readFloors,
  readFormat,
  readFrame,
  readHex,
  readMaxAge,
  readMeasurements,
  readRoots,
  readStatuses,
  readWithout,
  requireFitting,
} from "../evidence/options.ts";
import {
  checkTable,
  concludeDocument,
  conclusion,
  factTable,
  isReadable,
  type Judged,
  type Obstacle,
  printBlocks,
  showChecks,
  warnUnasked,
} from "../evidence/show-report.ts";
import { readBytes, readRegistrations, readTrust } from "../files.ts";
import { note, print, printable, printJson, table } from "../terminal.ts";

/**
 * `countersign verify --evidence`: checks a raw document from anywhere and explains each check. No network.
 *
 * @param at Milliseconds to judge for; undefined where the caller named no time, and then it is judged for now alone.
 */
export async function verifyEvidence(options: EvidenceOptions, at: number | undefined, now: number): Promise<void> {
  const format = readFormat(options.format);
  requireFitting(format, options);
  const bytes = await readBytes(options.evidence);
  if (at === undefined && !options.json)
    note(
      "No --at was given: it is judged for now. Archived documents have lapsed; judge them for the time of their use.",
    );
  if (format === "attestation") return verifyAttestation(options, bytes, at, now);
  const found = readDocuments(bytes, format, readFrame(options.frame));
  const outcomes = [];
  for (const document of found) outcomes.push(await verifyDocument(options, format, document, at, now));
  process.exitCode = outcomes.length > 0 && outcomes.every((accepted) => accepted) ? 0 : 2;
}

async function verifyDocument(
  options: EvidenceOptions,
  format: AttestationFormat,
  found: FoundDocument,
  at: number | undefined,
  now: number,
): Promise<boolean> {
  const measurements = readMeasurements(options.measurement);
  const binding = readHex("--binding", options.binding);
  const nonce = readHex("--nonce", options.nonce, "8 to 64");
  const without = readWithout(options.without);
  const asked: readonly CheckId[] = [
    ...(measurements === null ? [] : (["measurement"] as const)),
    ...(binding === null ? [] : (["binding"] as const)),
    ...(nonce === null ? [] : (["freshness"] as const)),
  ];
  const required = [...new Set([...formats[format].required.filter((id) => !without.includes(id)), ...asked])];
  const args: Omit<DocumentArgs, "at"> = {
    document: await readDocument(format, found.document, options.signature),
    roots: readRoots(format, options.root),
    collateral: [...found.collateral, ...(await readCollateral(format, options))],
    measurements,
    revoked: [],
    tcb: {
      statuses: readStatuses(format, options.allowStatus),
      advisories: options.allowAdvisory ?? [],
      floors: readFloors(format, options.floor),
    },
    allowDebug: options.allowDebug ?? false,
    binding,
    nonce,
    maxAge: readMaxAge(options.maxAge),
    suite: nodeSuite,
  };
  const judge = (time: number): Judged => {
    const report = formats[format].check({ ...args, at: time });
    return { at: time, report, obstacle: obstacleIn(format, report, required) };
  };
  const judged = at === undefined ? [judge(now)] : [judge(at), judge(now)];
  const [first, second] = judged as [Judged, Judged?];
  // What the caller's word let pass that would have refused: no program may take it for an ordinary acceptance.
  const allowed = options.allowDebug === true && first.report.debug === true ? ["debug"] : [];
  if (options.json) printJson({ format, read: found.said, required, without, allowed, judged: judged.map(plainly) });
  else {
    printBlocks([
      `${format} document, ${found.said}, SHA-256 ${sha256Hex(args.document)}`,
      checkTable(judged, required),
      factTable(first.report),
      [
        ...(without.length > 0 ? [`Not needed, because the caller says so: ${without.join(", ")}.`] : []),
        ...(first.report.assurance === "simulated"
          ? ["Its root is a simulation's: it says nothing about hardware."]
          : []),
        ...warnUnasked({ measurements, binding, nonce }),
        concludeDocument(first, at === undefined ? "now" : "at the time"),
        ...(second ? [concludeDocument(second, "now")] : []),
      ].join("\n"),
    ]);
    print();
  }
  return first.obstacle === undefined;
}

/** The document; a TPM's is made of quote and signature, since the quote alone says nothing. @throws COMMAND_MISUSED */
async function readDocument(
  format: AttestationFormat,
  document: Uint8Array,
  signature: string | undefined,
): Promise<Uint8Array> {
  if (signature !== undefined) {
    if (format === "tpm2") return joinQuote(document, await readBytes(signature));
    throw new CountersignError("COMMAND_MISUSED", { message: `--signature is for tpm2, not for ${format}.` });
  }
  // The one form that holds both is a JSON object.
  if (format === "tpm2" && document[0] !== 0x7b)
    throw new CountersignError("COMMAND_MISUSED", {
      message: "This is a TPM's quote without its signature.",
      remedy: "Give the signature beside it: --signature FILE.",
    });
  return document;
}

/** What is in the way, with the option that supplies it where something was missing. */
function obstacleIn(format: AttestationFormat, report: DocumentReport, required: readonly CheckId[]): Obstacle {
  const obstacle = obstacleOf(report, required);
  const failed = report.checks.find((c) => c.result === "failed");
  const check = failed ?? report.checks.find((c) => required.includes(c.id) && c.result !== "passed");
  const remedy = obstacle && check && optionFor(format, check);
  return remedy === undefined ? obstacle : { ...(obstacle as NonNullable<Obstacle>), remedy };
}

/** A report as JSON has it: bytes as hex; no level of a document that could not be read. */
const plainly = ({ at, report, obstacle }: Judged) => {
  const { reportData, ...rest }: DocumentReport = report;
  return {
    at,
    outcome: obstacle ? "refused" : "accepted",
    obstacle,
    ...rest,
    tcb: isReadable(report) ? report.tcb : null,
    reportData: reportData && toHex(reportData),
  };
};

async function verifyAttestation(
  options: EvidenceOptions,
  bytes: Uint8Array,
  at: number | undefined,
  now: number,
): Promise<void> {
  const trust = await readTrust(options.trust);
  const registrations = await readRegistrations(options.registration);
  const nonce = readHex("--nonce", options.nonce);
  const judge = (time: number) =>
    checkAttestation({
      attestation: bytes,
      registrations,
      trust,
      at: time,
      nonce: nonce && toHex(nonce),
      suite: nodeSuite,
      allowDevelopment: options.allowDevelopment ?? false,
      inLog: (entry, proof) => lookUp(entry, proof, trust, time, nodeSuite),
    });
  const times = at === undefined ? [now] : [at, now];
  const judged = times.map((time) => ({ at: time, ...judge(time) }));
  const [first] = judged as [(typeof judged)[number]];
  if (options.json) printJson({ format: "attestation", judged });
  else {
    printBlocks([
      showAttestation(bytes),
      showChecks(first.checks),
      judged
        .map(({ at: time, outcome }) =>
          outcome.status === "accepted"
            ? conclusion({ at: time, obstacle: undefined }, JSON.stringify(outcome.facts))
            : conclusion(
                { at: time, obstacle: { code: outcome.code, why: outcome.reason } },
                `under the trust "${trust.name}"`,
              ),
        )
        .join("\n"),
    ]);
  }
  process.exitCode = first.outcome.status === "accepted" ? 0 : 2;
}

/** What an attestation says of itself, unjudged; nothing where it cannot be read, which its first check says. */
export function showAttestation(bytes: Uint8Array): string {
  try {
    const { keyset, nonce, evidence, collateral, provenance, madeAt } = readAttestation(bytes);
    const key = (use: Parameters<typeof keyFor>[1]) => keyFor(keyset, use) ?? "none";
    return table(
      ["attestation", sha256Hex(bytes)],
      [
        ["network", printable(keyset.network)],
        ["scope", keyset.scope],
        ["until", new Date(keyset.notAfter).toISOString()],
        ["receipt key", key("receipt")],
        ["channel key", key("channel")],
        ["models", keyset.models.join(" ") || "none"],
        ["gpus", String(keyset.gpus)],
        ["nonce", nonce ?? "none"],
        ["documents", evidence.map((e) => `${e.format}, ${fromBase64(e.document).length} bytes`).join("; ")],
        ["collateral", collateral.map((c) => c.kind).join(", ") || "none"],
        ["provenance", `${provenance.length} records`],
        ["made", `${new Date(madeAt).toISOString()}, by its maker's word`],
      ],
    );
  } catch {
    return "";
  }
}
