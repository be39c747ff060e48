import {
  type Assurance,
  type Attestation,
  type AttestationFormat,
  assurances,
  type Check,
  CountersignError,
  decodeEntry,
  type Envelope,
  type ErrorCode,
  envelopeDigest,
  fromBase64,
  fromBase64Url,
  fromHex,
  gpuNonce,
  type Hex,
  type InLog,
  isSignedBy,
  type Keyset,
  keyFor,
  keysetBinding,
  keysetDigest,
  longestKeyset,
  measurementId,
  readAttestation,
  readMeasurement,
  type Suite,
  type Trust,
  type TrustedHardware,
  toHex,
} from "@countersign/core";
import {
  type CheckId,
  type Collateral,
  type DocumentArgs,
  type DocumentReport,
  Fault,
  fault,
  obstacleOf,
  type Root,
  type TeeCode,
} from "./attestation.ts";
import { requireCustody } from "./custody.ts";
import { formats } from "./formats.ts";
import { foldModels } from "./measured-models.ts";
import { pinnedRoots } from "./roots.ts";

/** What an attested keyset is checked with. No clock, no network. */
export type AttestationArgs = {
  /** The attestation's bytes (spec/tee.md §3). */
  readonly attestation: Uint8Array;
  /** Registrations of keys: a registrar's word for operator and custody. */
  readonly registrations: readonly Envelope[];
  readonly trust: Trust;
  /** Milliseconds to judge for. */
  readonly at: number;
  /** The nonce that the caller drew for this document; null for a document that was made for nobody in particular. */
  readonly nonce: Hex | null;
  readonly suite: Suite;
  /** Whether simulated enclaves may stand in for hardware. */
  readonly allowDevelopment: boolean;
  /** Looks up log entries; without it no measurement has provenance. */
  readonly inLog?: InLog | undefined;
};

/** An attested keyset that the trust accepts. */
export type AcceptedAttestation = {
  readonly status: "accepted";
  readonly keyset: Keyset;
  readonly keysetDigest: Hex;
  readonly assurance: Assurance;
  readonly measurement: Hex;
  /** Facts that a policy may require: scope, platform, assurance, tcb, custody, operator, provenance, measurement. */
  readonly facts: Readonly<Record<string, string>>;
};

/** What came of it: every check, and one outcome. */
export type AttestationReport = {
  readonly checks: readonly Check[];
  readonly outcome:
    | AcceptedAttestation
    | { readonly status: "refused"; readonly code: ErrorCode; readonly reason: string };
};

/** What a step found; `ran: false` where nobody asks for it, and then it has passed nothing. */
export type Step<T> = { readonly detail: string; readonly value: T; readonly ran?: boolean };

const gpuFormats: readonly string[] = ["nvidia", "nvidia-eat"];

/**
 * Checks an attested keyset: the document, what it binds, and whether the trust accepts it (spec/tee.md §4).
 *
 * Never throws; what cannot be read is refused. The first failure ends it: later checks stand as not run.
 */
export function checkAttestation(args: AttestationArgs): AttestationReport {
  const checks: Check[] = [];
  let refused: { readonly code: ErrorCode; readonly reason: string } | undefined;
  /** One named step; nothing after a failure runs. */
  const step = <T>(id: string, title: string, run: () => Step<T>): T | undefined => {
    if (refused) {
      checks.push({ id: `tee.${id}`, title, status: "not-run", detail: "Something failed before it." });
      return undefined;
    }
    try {
      const { detail, value, ran = true } = run();
      checks.push({ id: `tee.${id}`, title, status: ran ? "passed" : "not-run", detail });
      return value;
    } catch (error) {
      const known = error instanceof Fault || CountersignError.is(error) ? error : undefined;
      const code: ErrorCode = known?.code ?? "TEE_EVIDENCE_MALFORMED";
      const reason = CountersignError.is(error) ? error.detail.message : (known?.message ?? "It cannot be read.");
      refused = { code, reason };
      checks.push({ id: `tee.${id}`, title, status: "failed", detail: reason, code });
      return undefined;
    }
  };

  const read = step("attestation", "The attestation can be read, in its one encoding", () => {
    const value = readAttestation(args.attestation);
    return { detail: `Keyset ${keysetDigest(value.keyset).slice(0, 16)}….`, value: requireOrder(value) };
  });
  const main = step("document", "The document is authentic and attests this keyset", () => {
    const found = checkMain(args, read as Attestation);
    checks.push(...found.checks);
    if (found.refused) fault(found.refused.code, found.refused.why);
    const { vendor } = found.report;
    const { assurance } = found.entry;
    // A simulation's document has a vendor's form and nothing else of the vendor's.
    const detail = assurance === "simulated" ? `Simulated, in the form of ${vendor}'s.` : `${vendor}, ${assurance}.`;
    return { detail, value: found };
  });
  step("keyset", "The keyset was in force, for this network", () => requireInForce((read as Attestation).keyset, args));
  step("models", "The models were measured before the keys were made", () =>
    requireModels((read as Attestation).keyset, (main as Main).report),
  );
  const gpus = step("gpu", "Every promised GPU's evidence is there and belongs to this statement", () =>
    requireGpus(args, read as Attestation),
  );
  const provenance = step("provenance", "The measurement stands in the log with a build that anybody can repeat", () =>
    requireProvenance(args, read as Attestation, main as Main),
  );
  const place = step("custody", "Somebody with standing says where the machine stands", () =>
    requireCustody(args, keyFor((read as Attestation).keyset, "receipt"), (main as Main).entry),
  );
  if (refused || !read || !main || !gpus || !place || !provenance) {
    return {
      checks,
      outcome: { status: "refused", ...(refused ?? { code: "CHECK_FAILED_TO_RUN", reason: "A check did not run." }) },
    };
  }
  const { report, entry } = main;
  const assurance = weakestOf([entry.assurance, ...gpus]);
  return {
    checks,
    outcome: {
      status: "accepted",
      keyset: read.keyset,
      keysetDigest: keysetDigest(read.keyset),
      assurance,
      measurement: report.measurement as Hex,
      facts: {
        scope: read.keyset.scope === "inference" ? "inference" : "origin",
        platform: report.format,
        assurance,
        tcb: report.tcb.status,
        measurement: report.measurement as Hex,
        provenance,
        ...place,
      },
    },
  };
}

/** A machine is worth no more than its weakest part. */
const weakestOf = (parts: readonly Assurance[]): Assurance =>
  [...assurances].reverse().find((a) => parts.includes(a)) ?? "simulated";

/** The CPU's document stands first, GPUs behind it. */
function requireOrder(attestation: Attestation): Attestation {
  const [first, ...rest] = attestation.evidence;
  if (!first || gpuFormats.includes(first.format) || rest.some((e) => !gpuFormats.includes(e.format))) {
    fault("TEE_EVIDENCE_MALFORMED", "The first document must be the CPU's, and those behind it GPUs'.");
  }
  return attestation;
}

type Main = {
  readonly report: DocumentReport;
  readonly entry: TrustedHardware;
  readonly checks: readonly Check[];
  readonly refused: { readonly code: TeeCode; readonly why: string } | undefined;
};

const collateralOf = (attestation: Attestation): readonly Collateral[] =>
  attestation.collateral.map(({ kind, data }) => ({ kind, data: fromBase64(data) }));

const rootOf = ({ format, root, assurance }: TrustedHardware): Root => {
  const vendor = pinnedRoots.find((r) => r.format === format && r.digest === root);
  return {
    format,
    digest: root,
    assurance,
    name: vendor?.name ?? "named in the trust",
    ...(vendor?.family && { family: vendor.family }),
  };
};

/** Runs the document's own checks once for each trusted root of its format; the one that got furthest speaks. */
function checkMain(args: AttestationArgs, attestation: Attestation): Main {
  const [evidence] = attestation.evidence as [Attestation["evidence"][number]];
  const { format } = evidence;
  const entries = args.trust.hardware.filter((h) => h.format === format);
  const base = {
    document: fromBase64(evidence.document),
    at: args.at,
    collateral: collateralOf(attestation),
    allowDebug: false,
    binding: keysetBinding(keysetDigest(attestation.keyset), attestation.nonce),
    maxAge: longestKeyset,
    suite: args.suite,
    ...challengeOf(args, attestation),
  };
  const { check, required } = formats[format];
  if (entries.length === 0) {
    // Nobody is trusted for it: said as what it is, so that a simulation is never taken for a missing setting.
    const report = check({ ...base, roots: [], measurements: [], revoked: [], tcb: noTcb });
    const simulated = report.checks.find((c) => c.result === "failed" && c.code === "TEE_SIMULATED_NOT_ALLOWED");
    if (simulated) fault("TEE_SIMULATED_NOT_ALLOWED", simulated.why);
    fault("TEE_FORMAT_NOT_ALLOWED", `The trust "${args.trust.name}" names no root for ${format} documents.`);
  }
  return tryEntries(args, format, base, [...required, "measurement", "binding"], entries);
}

/** Checks a document under each trusted entry of its format; the one that is accepted, else the one that got furthest. */
function tryEntries(
  args: AttestationArgs,
  format: AttestationFormat,
  base: Omit<DocumentArgs, "roots" | "measurements" | "revoked" | "tcb">,
  required: readonly CheckId[],
  entries: readonly TrustedHardware[],
): Main {
  const tried = entries.map((entry): Main => {
    const { measurements, revoked, tcb } = entry;
    const report = formats[format].check({ ...base, roots: [rootOf(entry)], measurements, revoked, tcb });
    const refused = obstacleOf(report, required) ?? standInOf(args, report, entry);
    return { report, entry, checks: report.checks.map((c) => toCheck(format, c)), refused };
  });
  const passed = (m: Main) => m.report.checks.filter((c) => c.result === "passed").length;
  return tried.find((m) => !m.refused) ?? tried.reduce((best, m) => (passed(m) > passed(best) ? m : best));
}

/** What is wrong with a sound document's standing: a stand-in that nobody allowed, or a root that is not the entry's. */
function standInOf(args: AttestationArgs, report: DocumentReport, { assurance }: TrustedHardware): Main["refused"] {
  if (report.assurance !== assurance)
    return { code: "TEE_ROOT_UNTRUSTED", why: "The root that the document ends at is not what the trust says it is." };
  if (assurance === "simulated" && !args.allowDevelopment)
    return { code: "TEE_SIMULATED_NOT_ALLOWED", why: "It is a simulated enclave's, and stand-ins were not allowed." };
  return undefined;
}

const noTcb = { statuses: [], advisories: [], floors: {} };

/** How our nonce must come back: in the statement, or in the document's own field where it is fixed before (nitriding). */
function challengeOf(args: AttestationArgs, attestation: Attestation): Pick<DocumentArgs, "nonce"> {
  if (args.nonce === null) return { nonce: null };
  if (attestation.nonce === null && attestation.evidence[0]?.format === "nitro")
    return { nonce: fromHex(args.nonce).subarray(0, 20) };
  if (attestation.nonce === args.nonce) return { nonce: null };
  return fault("TEE_NONCE_MISMATCH", "The document answers another question than the one that was asked.");
}

const toCheck = (format: string, c: DocumentReport["checks"][number]): Check => ({
  id: `tee.${format}.${c.id}`,
  title: c.title,
  status: c.result,
  detail: c.why,
  ...(c.result === "failed" && { code: c.code }),
});

function requireInForce(keyset: Keyset, { trust, at }: AttestationArgs): Step<true> {
  if (keyset.network !== trust.network)
    fault("TEE_KEY_NOT_BOUND", `The keyset is for ${keyset.network}; the trust is for ${trust.network}.`);
  // Put so that a time that is no number fails: not every document has certificates whose time would refuse it.
  if (!(at <= keyset.notAfter)) fault("TEE_KEYSET_EXPIRED", `It ended at ${new Date(keyset.notAfter).toISOString()}.`);
  // A document without a time of its own is bounded by this alone.
  if (keyset.notAfter - at > longestKeyset) fault("TEE_KEYSET_EXPIRED", "It claims to live longer than a day.");
  return { detail: `Until ${new Date(keyset.notAfter).toISOString()}.`, value: true };
}

function requireModels(keyset: Keyset, report: DocumentReport): Step<true> {
  if (keyset.scope === "proxy") return { detail: "It is a proxy: it holds no model.", value: true };
  if (keyset.models.length === 0) fault("TEE_MODEL_NOT_MEASURED", "The keyset names no model.");
  const { pcr16 } = report.runtime;
  if (report.format === "nitro" && pcr16 !== toHex(foldModels(keyset.models)))
    fault("TEE_MODEL_NOT_MEASURED", "PCR 16 is not the one that these models give.");
  return { detail: `${keyset.models.length} of them.`, value: true };
}

function requireGpus(args: AttestationArgs, attestation: Attestation): Step<readonly Assurance[]> {
  const gpus = attestation.evidence.slice(1);
  const { keyset, nonce } = attestation;
  if (gpus.length !== keyset.gpus)
    fault("TEE_GPU_MISSING", `The keyset promises ${keyset.gpus} GPUs; ${gpus.length} documents are there.`);
  // Each format names a GPU in its own way: one shown in both would count as two.
  if (new Set(gpus.map((g) => g.format)).size > 1)
    fault("TEE_GPU_MISSING", "GPUs are shown in two formats, so nobody can count them.");
  const found = gpus.map(({ format, document }) => {
    const entries = args.trust.hardware.filter((h) => h.format === format);
    if (entries.length === 0) fault("TEE_FORMAT_NOT_ALLOWED", `The trust names no root for ${format} documents.`);
    const one = tryEntries(
      args,
      format,
      {
        document: fromBase64(document),
        at: args.at,
        collateral: collateralOf(attestation),
        allowDebug: false,
        binding: null,
        nonce: gpuNonce(keysetBinding(keysetDigest(keyset), nonce)),
        maxAge: longestKeyset,
        suite: args.suite,
      },
      [...formats[format].required, "measurement"],
      entries,
    );
    return one.refused ? fault(one.refused.code, one.refused.why) : one;
  });
  const attesters = found.map((m) => m.report.attester);
  if (attesters.includes(null) || new Set(attesters).size !== attesters.length)
    fault("TEE_GPU_MISSING", "One GPU is counted twice, or says not which one it is.");
  const value = found.map((m) => m.entry.assurance);
  return { detail: keyset.gpus === 0 ? "None is promised." : `${keyset.gpus} of them.`, value };
}

/** Looks for a record of the measurement that a trusted publisher signed, that is logged and says how to build it again. */
function requireProvenance(
  args: AttestationArgs,
  { provenance }: Attestation,
  { report, entry }: Main,
): Step<"logged" | "none"> {
  const records = provenance.flatMap((item) => {
    const { subject, predicate, envelope } = readMeasurement(item.statement);
    const known =
      subject === report.measurement &&
      // The name alone is the publisher's to write: the registers that people read must be those that were measured.
      measurementId(predicate.format, predicate.registers) === subject &&
      predicate.network === args.trust.network &&
      predicate.build !== null &&
      !predicate.revoked &&
      args.trust.publishers.some((p) => p.key === predicate.publisher) &&
      isSignedBy(envelope, predicate.publisher, args.suite);
    if (!known) return [];
    const logged = decodeEntry(fromBase64Url(item.entry));
    const fits =
      logged.kind === "measurement" && logged.subject === subject && logged.envelope === envelopeDigest(envelope);
    return fits && args.inLog?.(item.entry, item.proof).status === "logged" ? [predicate] : [];
  });
  const [record] = records;
  if (record) return { detail: `${record.title}, source ${record.source.commit}.`, value: "logged" };
  if (entry.provenance)
    fault(
      "TEE_MEASUREMENT_NOT_LOGGED",
      "The trust asks for a logged record of its build, and none that holds is attached.",
    );
  const detail =
    provenance.length === 0
      ? "Nobody asks for it, and no record is attached."
      : "Nobody asks for it. Records are attached, and none is logged, trusted and about this measurement.";
  return { detail, value: "none", ran: false };
}
