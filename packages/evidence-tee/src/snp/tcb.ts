import { equalBytes, toHex } from "@countersign/core";
import { fault, type Root } from "../attestation.ts";
import { oid, readDer, readInteger, readOctets, tags } from "../der.ts";
import type { Certificate } from "../x509.ts";
import type { SigningKey, SnpReport } from "./report.ts";

export type Family = NonNullable<Root["family"]>;
/** Security patch levels by AMD's names; `fmc` from Turin on. */
export type Levels = Readonly<Record<string, number>>;

const amd = (tail: string) => oid(`1.3.6.1.4.1.3704.1.${tail}`);

type Layout = {
  /** What each of the 8 bytes is: its name (null for reserved), and the extension of the certificate that says the same. */
  readonly bytes: readonly (readonly [name: string | null, extension: string])[];
  readonly structVersion: number;
  readonly chipIdSize: number;
  readonly cpuFamily: number;
  readonly isModel: (model: number) => boolean;
};

const early = [
  ["bootloader", "3.1"],
  ["tee", "3.2"],
  [null, "3.4"],
  [null, "3.5"],
  [null, "3.6"],
  [null, "3.7"],
  ["snp", "3.3"],
  ["microcode", "3.8"],
] as const;
const late = [
  ["fmc", "3.9"],
  ["bootloader", "3.1"],
  ["tee", "3.2"],
  ["snp", "3.3"],
  [null, "3.5"],
  [null, "3.6"],
  [null, "3.7"],
  ["microcode", "3.8"],
] as const;

/**
 * What a family's TCB_VERSION and certificates look like (AMD 56860 rev. 1.57 "TCB_VERSION"; AMD 57230, extensions of
 * VCEK certificates for families 19h and 1Ah). The family comes from the pinned root, never from the report.
 */
const layouts: Readonly<Record<Family, Layout>> = {
  milan: { bytes: early, structVersion: 0, chipIdSize: 64, cpuFamily: 0x19, isModel: (m) => m <= 0x0f },
  genoa: {
    bytes: early,
    structVersion: 0,
    chipIdSize: 64,
    cpuFamily: 0x19,
    isModel: (m) => (m >= 0x10 && m <= 0x1f) || (m >= 0xa0 && m <= 0xaf),
  },
  turin: { bytes: late, structVersion: 1, chipIdSize: 8, cpuFamily: 0x1a, isModel: (m) => m <= 0x1f },
};

/** Levels of a TCB_VERSION (8 bytes). @throws TEE_TCB_CERT_MISMATCH when bytes that the family reserves are not zero */
export function readLevels(tcb: Uint8Array, family: Family): Levels {
  const levels: Record<string, number> = {};
  layouts[family].bytes.forEach(([name], i) => {
    const level = tcb[i] as number;
    if (name !== null) levels[name] = level;
    else if (level !== 0) fault("TEE_TCB_CERT_MISMATCH", `Its levels are not written as ${family} writes them.`);
  });
  return levels;
}

const mismatch = (why: string): never => fault("TEE_TCB_CERT_MISMATCH", why);

function readLevel(value: Uint8Array): number {
  const bytes = readInteger(readDer(value));
  return bytes.length === 1 ? (bytes[0] as number) : mismatch("The certificate names a level over 255.");
}

/** Raw bytes, as AMD issues them, or an OCTET STRING around them. */
function readChipId(value: Uint8Array, size: number): Uint8Array {
  const bytes = value.length === size ? value : readOctets(readDer(value));
  return bytes.length === size ? bytes : mismatch(`A chip of this family is named by ${size} bytes.`);
}

const words: readonly number[] = [tags.ia5, tags.utf8, tags.printable];
const textOf = (value: Uint8Array | undefined): string | null => {
  if (!value) return null;
  const { tag, body } = readDer(value);
  return words.includes(tag) ? String.fromCharCode(...body.subarray(0, 64)).replace(/[^ -~]/g, "?") : null;
};

/** A report's certificates: AMD's root, the key below it that signs endorsement keys, and one of those. */
export type Chain = { readonly ark: Certificate; readonly ask: Certificate; readonly leaf: Certificate };

/** What the certificate says of the platform, after it was found to say the same as the report. */
export type Endorsed = {
  readonly levels: Levels;
  /** Hex; null for a provider's key under a masked chip. */
  readonly chip: string | null;
  readonly product: string | null;
  /** The cloud provider that a VLEK was given to. */
  readonly provider: string | null;
};

/**
 * Compares report and certificate: kind of key, processor family, each level of the reported TCB, and the chip.
 *
 * A masked (all-zero) chip id is taken from the VCEK's certificate: AMD issued it for a key that only this chip has.
 *
 * @throws TEE_TCB_CERT_MISMATCH
 */
export function compareEndorsement(report: SnpReport, { ask, leaf }: Chain, family: Family): Endorsed {
  const layout = layouts[family];
  const value = (tail: string) => leaf.extensions.get(amd(tail))?.value;
  const version = value("1") ?? mismatch("The certificate has no AMD extensions.");
  if (readLevel(version) !== layout.structVersion) mismatch(`The certificate is not of ${family}'s form.`);
  const { cpuid } = report;
  if (cpuid === null && layout.structVersion > 0) mismatch(`Reports of ${family} have version 3 or later.`);
  if (cpuid !== null && (cpuid.family !== layout.cpuFamily || !layout.isModel(cpuid.model)))
    mismatch(`The report is of processor family ${cpuid.family}, model ${cpuid.model}; the root is ${family}'s.`);
  const levels = readLevels(report.tcb.reported, family);
  layout.bytes.forEach(([name, tail], i) => {
    const extension = value(tail);
    const level = report.tcb.reported[i] as number;
    if (extension === undefined && name !== null) mismatch(`The certificate names no level of ${name}.`);
    if (extension !== undefined && readLevel(extension) !== level)
      mismatch(`${name ?? "A reserved level"}: the report says ${level}, the certificate ${readLevel(extension)}.`);
  });
  const kind: SigningKey = report.signingKey === 0 ? "vcek" : "vlek";
  // AMD signs the two kinds with keys of their own, and names them so.
  const isProviders = ask.commonName?.startsWith("SEV-VLEK-") ?? false;
  if (leaf.commonName !== `SEV-${kind.toUpperCase()}` || isProviders !== (kind === "vlek"))
    mismatch(`The report is signed by a ${kind.toUpperCase()}; the certificate is for another kind of key.`);
  return {
    levels,
    chip: chipOf(report, value("4"), kind, layout.chipIdSize),
    product: textOf(value("2")),
    provider: textOf(value("5")),
  };
}

function chipOf({ chipId }: SnpReport, hardwareId: Uint8Array | undefined, kind: SigningKey, size: number) {
  const masked = chipId.every((b) => b === 0);
  if (kind === "vlek") {
    if (hardwareId !== undefined) mismatch("A provider's key is not of one chip, and its certificate names one.");
    return masked ? null : toHex(chipId);
  }
  const chip = readChipId(hardwareId ?? mismatch("The certificate names no chip."), size);
  const same = equalBytes(chipId.subarray(0, size), chip) && chipId.subarray(size).every((b) => b === 0);
  if (!masked && !same) mismatch("The report is of another chip than the certificate.");
  return toHex(chip);
}
