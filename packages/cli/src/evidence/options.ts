import {
  type AttestationFormat,
  assurances,
  attestationFormats,
  type CollateralKind,
  CountersignError,
  collateralKinds,
  fromHex,
  type Hex,
} from "@countersign/core";
import {
  type CheckId,
  type Collateral,
  type PlatformWords,
  pinnedRoots,
  platformWords,
  type Root,
  readPem,
} from "@countersign/evidence-tee";
import { readBytes, readText } from "../files.ts";
import { type Frame, frames } from "./file-form.ts";

/** What `countersign verify --evidence` takes. */
export type EvidenceOptions = {
  readonly evidence: string;
  readonly format?: string;
  readonly frame?: string;
  readonly signature?: string;
  readonly at?: string;
  readonly maxAge?: string;
  readonly collateral?: readonly string[];
  readonly vcek?: string;
  readonly chain?: string;
  readonly crl?: string;
  readonly nonce?: string;
  readonly binding?: string;
  readonly measurement?: readonly string[];
  readonly allowDebug?: boolean;
  readonly allowStatus?: readonly string[];
  readonly allowAdvisory?: readonly string[];
  readonly floor?: readonly string[];
  readonly without?: readonly string[];
  readonly root?: readonly string[];
  readonly registration?: readonly string[];
  readonly trust?: string;
  readonly allowDevelopment?: boolean;
  readonly json?: boolean;
};

const misused = (message: string, remedy?: string): never => {
  throw new CountersignError("COMMAND_MISUSED", { message, ...(remedy !== undefined && { remedy }) });
};

/** A format of documents, or the bundle that holds one. @throws COMMAND_MISUSED */
export function readFormat(text: string | undefined): AttestationFormat | "attestation" {
  const known = [...attestationFormats, "attestation"] as const;
  return (
    known.find((f) => f === text) ??
    misused(
      text === undefined ? "Say what kind of document it is: --format." : `"${text}" is no format.`,
      `The formats are ${known.join(", ")}. A document never says by itself how it is to be checked.`,
    )
  );
}

/** A frame by its name. @throws COMMAND_MISUSED */
export const readFrame = (text: string | undefined): Frame | undefined =>
  text === undefined
    ? undefined
    : (frames.find((f) => f === text) ?? misused(`"${text}" is no frame.`, `The frames are ${frames.join(", ")}.`));

/** 32 bytes in lowercase hex, or from 8 to 64 of them. @throws COMMAND_MISUSED */
export function readHex(name: string, text: string | undefined, size: "32" | "8 to 64" = "32"): Uint8Array | null {
  if (text === undefined) return null;
  const good = size === "32" ? /^[0-9a-f]{64}$/ : /^(?:[0-9a-f]{2}){8,64}$/;
  return good.test(text) ? fromHex(text) : misused(`${name} takes ${size} bytes as lowercase hexadecimal digits.`);
}

/** Measurement ids; null where none was named, and then nothing is compared. @throws COMMAND_MISUSED */
export function readMeasurements(list: readonly string[] | undefined): readonly Hex[] | null {
  if (list === undefined) return null;
  for (const id of list) readHex("--measurement", id);
  return list as readonly Hex[];
}

/** Seconds that a document without our nonce may be old. */
const usualAge = 300;

/** Milliseconds of `--max-age`, which takes seconds. @throws COMMAND_MISUSED */
export const readMaxAge = (text: string | undefined): number =>
  text === undefined
    ? 1000 * usualAge
    : /^[0-9]{1,9}$/.test(text)
      ? 1000 * Number(text)
      : misused(`"${text}" is no age.`, "Give --max-age whole seconds, such as 300.");

/** A word that the format does not have would count for nothing, in silence. @throws COMMAND_MISUSED */
function requireWord(format: AttestationFormat, kind: keyof PlatformWords, word: string): string {
  const known = platformWords[format][kind];
  if (known.includes(word)) return word;
  const what = kind === "floors" ? "component with a level" : "status";
  return misused(
    known.length === 0
      ? `${format} documents have no ${what} that could be named.`
      : `"${word}" is no ${what} of ${format} documents.`,
    known.length === 0 ? undefined : `They have ${known.join(", ")}.`,
  );
}

/** `name=N`, with a name that the format has. @throws COMMAND_MISUSED */
export const readFloors = (format: AttestationFormat, list: readonly string[] = []): Readonly<Record<string, number>> =>
  Object.fromEntries(
    list.map((text) => {
      const [, name, value] = /^([A-Za-z][A-Za-z0-9_-]{0,63})=([0-9]{1,9})$/.exec(text) ?? [];
      if (name === undefined) return misused(`"${text}" is no floor.`, "Write name=number.");
      return [requireWord(format, "floors", name), Number(value)];
    }),
  );

/** Statuses of the platform's level that are accepted besides up-to-date. @throws COMMAND_MISUSED */
export const readStatuses = (format: AttestationFormat, list: readonly string[] = []): readonly string[] =>
  list.map((word) => requireWord(format, "statuses", word));

/** Options that say how a raw document is judged; an attestation is judged by its trust file alone. */
const rawOnly = [
  "frame",
  "signature",
  "collateral",
  "vcek",
  "chain",
  "crl",
  "binding",
  "measurement",
  "maxAge",
  "floor",
  "root",
  "allowDebug",
  "allowStatus",
  "allowAdvisory",
  "without",
] as const satisfies readonly (keyof EvidenceOptions)[];

/** Refuses what would be dropped in silence. @throws COMMAND_MISUSED */
export function requireFitting(format: AttestationFormat | "attestation", options: EvidenceOptions): void {
  const dashed = (name: string) => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
  const stray = format === "attestation" ? rawOnly.find((name) => options[name] !== undefined) : undefined;
  if (stray !== undefined)
    misused(
      `${dashed(stray)} is for raw documents, not for --format attestation.`,
      "An attestation is judged by a trust file: --trust FILE.",
    );
  if (format !== "attestation" && options.registration !== undefined)
    misused("--registration is for --format attestation.", "A raw document is about no registered key.");
}

/** The pinned vendor roots, and those that the caller names as `SHA256=assurance`. @throws COMMAND_MISUSED */
export function readRoots(format: AttestationFormat, list: readonly string[] = []): readonly Root[] {
  const named = list.map((text): Root => {
    const [, digest, word, family] = /^([0-9a-f]{64})=([a-z-]+)(?:,(milan|genoa|turin))?$/.exec(text) ?? [];
    const assurance = assurances.find((a) => a === word);
    if (digest === undefined || assurance === undefined)
      return misused(
        `"${text}" is no root.`,
        `Write its SHA-256 and what it stands for: 64 digits=${assurances.join("|")}; for sev-snp also ,milan|genoa|turin.`,
      );
    const layout = family as Root["family"];
    return {
      format,
      digest: digest as Hex,
      assurance,
      name: "a root named on the command line",
      ...(layout && { family: layout }),
    };
  });
  return [...pinnedRoots.filter((r) => r.format === format), ...named];
}

/** What one may do without and still have a document that its vendor's hardware signed. */
const waivable = ["revocation", "tcb", "attributes", "freshness"] as const satisfies readonly CheckId[];

/** Checks that need not have run, by name. @throws COMMAND_MISUSED */
export const readWithout = (list: readonly string[] = []): readonly CheckId[] =>
  list.map(
    (id) =>
      waivable.find((w) => w === id) ??
      misused(
        `Nothing is shown without the check "${id}".`,
        `What can be done without: ${waivable.join(", ")}. A document in debug mode is looked at with --allow-debug.`,
      ),
  );

/** What a file of `--collateral` is when its kind is not said. */
const usual: Partial<Record<AttestationFormat, CollateralKind>> = {
  tdx: "dcap",
  sgx: "dcap",
  nvidia: "nvidia-chain",
  "nvidia-eat": "jwks",
  "confidential-space": "jwks",
  tpm2: "tpm-key",
};

/** Collateral from files: `--collateral [KIND=]FILE`, and AMD's by their own names. @throws COMMAND_MISUSED, FILE_UNREADABLE */
export async function readCollateral(
  format: AttestationFormat,
  options: EvidenceOptions,
): Promise<readonly Collateral[]> {
  const amd = [options.vcek, options.chain, options.crl];
  if (format !== "sev-snp" && amd.some((o) => o !== undefined))
    misused("--vcek, --chain and --crl are for sev-snp.", "Give other collateral by --collateral.");
  const found = (options.collateral ?? []).map(async (text): Promise<Collateral> => {
    const kind = collateralKinds.find((k) => text.startsWith(`${k}=`));
    const meant = kind ?? usual[format];
    if (meant === undefined)
      return misused(
        `Say what ${text} is: --collateral KIND=FILE.`,
        `The kinds are ${collateralKinds.join(", ")}. Nitro documents need none.`,
      );
    return { kind: meant, data: await readBytes(kind === undefined ? text : text.slice(kind.length + 1)) };
  });
  const named = [
    options.vcek !== undefined && { kind: "amd-endorsement" as const, data: await readDer(options.vcek) },
    options.chain !== undefined && { kind: "amd-chain" as const, data: await readBytes(options.chain) },
    options.crl !== undefined && { kind: "amd-crl" as const, data: await readBytes(options.crl) },
  ];
  return [...(await Promise.all(found)), ...named.filter((c) => c !== false)];
}

/** One certificate, as DER or as PEM. */
async function readDer(path: string): Promise<Uint8Array> {
  const bytes = await readBytes(path);
  if (bytes[0] === 0x30) return bytes;
  const [der, ...more] = readPem((await readText(path)).trim());
  return der && more.length === 0 ? der : misused(`${path} does not hold exactly one certificate.`);
}
