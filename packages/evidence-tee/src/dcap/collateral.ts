import {
  CountersignError,
  fromUtf8,
  isObject,
  type Json,
  parseJson,
  parseJsonBytes,
  parseObjectWithSlices,
  toHex,
  utf8,
} from "@countersign/core";
import * as z from "zod";
import { fault } from "../attestation.ts";

const hex = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^(?:[0-9a-f]{2})*$/, "expected lowercase hexadecimal text");
const signature = z.string().regex(/^[0-9a-f]{128}$/, "expected 128 lowercase hexadecimal digits");
const text = z.string().max(262_144);

/**
 * What collateral of the kind `dcap` is: one JSON object. Chains are PEM, signer first and root last; revocation lists are
 * hex of their DER; `tcb_info` and `qe_identity` are the exact texts that Intel signed, character for character.
 */
export const collateralShape = z.strictObject({
  pck_crl_issuer_chain: text,
  root_ca_crl: hex(262_144),
  pck_crl: hex(524_288),
  tcb_info_issuer_chain: text,
  tcb_info: text,
  tcb_info_signature: signature,
  qe_identity_issuer_chain: text,
  qe_identity: text,
  qe_identity_signature: signature,
});
export type DcapCollateral = z.infer<typeof collateralShape>;

// Members that a version did not have are refused: when Intel added the module identities to version 3, readers that
// skipped them judged TDX 1.5 by the wrong values.
const hexDigits = (bytes: number) =>
  z.string().regex(new RegExp(`^[0-9A-Fa-f]{${2 * bytes}}$`), `expected ${bytes} bytes`);
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, "expected a time")
  .refine((t) => !Number.isNaN(Date.parse(t)) && new Date(t).toISOString() === t.replace("Z", ".000Z"), "no such time")
  .transform((t) => Date.parse(t));
const svn = (most: number) => z.number().int().min(0).max(most);
const advisoryIDs = z.array(z.string().max(64)).max(256).optional();
const enclaveLevels = z
  .array(
    z.strictObject({
      tcb: z.strictObject({ isvsvn: svn(0xffff) }),
      tcbDate: time,
      tcbStatus: z.enum(["UpToDate", "OutOfDate", "ConfigurationNeeded", "OutOfDateConfigurationNeeded", "Revoked"]),
      advisoryIDs,
    }),
  )
  .max(256);
const components = z
  .array(
    z.strictObject({
      svn: svn(0xff),
      category: z.string().max(256).optional(),
      type: z.string().max(256).optional(),
    }),
  )
  .length(16);
const moduleIdentity = { mrsigner: hexDigits(48), attributes: hexDigits(8), attributesMask: hexDigits(8) };

/** Statuses of a platform's level, in Intel's words. */
export const levelStatuses = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "Revoked",
] as const;

const sgxLevel = z.strictObject({
  tcb: z.strictObject({ sgxtcbcomponents: components, pcesvn: svn(0xffff) }),
  tcbDate: time,
  tcbStatus: z.enum(levelStatuses),
  advisoryIDs,
});
const tdxLevel = sgxLevel.extend({
  tcb: z.strictObject({ sgxtcbcomponents: components, pcesvn: svn(0xffff), tdxtcbcomponents: components }),
});
const tcbInfo = z.strictObject({
  version: z.literal(3),
  issueDate: time,
  nextUpdate: time,
  fmspc: hexDigits(6),
  pceId: hexDigits(2),
  /** 0: levels are compared component by component. */
  tcbType: z.literal(0),
  tcbEvaluationDataNumber: z.number().int().min(0),
});

/** Intel PCS API v4, TCB info version 3. */
const tcbInfoShape = z.discriminatedUnion("id", [
  tcbInfo.extend({ id: z.literal("SGX"), tcbLevels: z.array(sgxLevel).min(1).max(256) }),
  tcbInfo.extend({
    id: z.literal("TDX"),
    tcbLevels: z.array(tdxLevel).min(1).max(256),
    tdxModule: z.strictObject(moduleIdentity),
    tdxModuleIdentities: z
      .array(z.strictObject({ id: z.string().regex(/^TDX_[0-9A-F]{2}$/), ...moduleIdentity, tcbLevels: enclaveLevels }))
      .max(256)
      .refine((list) => new Set(list.map((m) => m.id)).size === list.length, "a module stands twice")
      .default([]),
  }),
]);
export type TcbInfo = z.infer<typeof tcbInfoShape>;

/** Intel PCS API v4, enclave identity version 2. */
const qeIdentityShape = z.strictObject({
  id: z.enum(["QE", "TD_QE"]),
  version: z.literal(2),
  issueDate: time,
  nextUpdate: time,
  tcbEvaluationDataNumber: z.number().int().min(0),
  miscselect: hexDigits(4),
  miscselectMask: hexDigits(4),
  attributes: hexDigits(16),
  attributesMask: hexDigits(16),
  mrsigner: hexDigits(32),
  isvprodid: svn(0xffff),
  tcbLevels: enclaveLevels,
});
export type QeIdentity = z.infer<typeof qeIdentityShape>;
export type EnclaveLevel = QeIdentity["tcbLevels"][number];

/** JSON text with one reading alone: duplicate keys, which readers resolve differently, are refused. */
function readJson(read: () => Json, what: string): Json {
  try {
    return read();
  } catch (error) {
    return fault("TEE_EVIDENCE_MALFORMED", `${what}: ${CountersignError.is(error) ? error.detail.message : "no JSON"}`);
  }
}

function readShape<T>(shape: z.ZodType<T>, value: Json, what: string): T {
  const read = shape.safeParse(value);
  if (read.success) return read.data;
  const [first] = read.error.issues;
  return fault("TEE_EVIDENCE_MALFORMED", `${what}: ${first?.path.join(".") ?? ""} ${first?.message ?? "malformed"}`);
}

/** Reads TCB info; its signature is the caller's to check. @throws TEE_EVIDENCE_MALFORMED */
export const readTcbInfo = (source: string): TcbInfo =>
  readShape(
    tcbInfoShape,
    readJson(() => parseJson(source), "TCB info"),
    "TCB info",
  );
/** Reads a quoting enclave's identity; its signature is the caller's to check. @throws TEE_EVIDENCE_MALFORMED */
export const readQeIdentity = (source: string): QeIdentity =>
  readShape(
    qeIdentityShape,
    readJson(() => parseJson(source), "QE identity"),
    "QE identity",
  );

/**
 * Reads collateral of the kind `dcap`.
 *
 * @throws TEE_REVOCATION_UNKNOWN when a revocation list is missing or empty, TEE_EVIDENCE_MALFORMED
 */
export function readCollateral(bytes: Uint8Array): DcapCollateral {
  const value = readJson(() => parseJsonBytes(bytes), "Collateral");
  for (const name of ["root_ca_crl", "pck_crl"] as const)
    if (!isObject(value) || value[name] === undefined || value[name] === "")
      fault("TEE_REVOCATION_UNKNOWN", `The collateral has no revocation list ${name}.`);
  return readShape(collateralShape, value, "Collateral");
}

/** Answers of Intel's provisioning certification service (API v4), as they came. */
export type PcsAnswers = {
  /** Body of `/tdx/certification/v4/tcb` or `/sgx/certification/v4/tcb`. */
  readonly tcbInfo: Uint8Array;
  /** Header `TCB-Info-Issuer-Chain`, decoded from its percent encoding. */
  readonly tcbInfoChain: string;
  /** Body of `…/qe/identity`. */
  readonly qeIdentity: Uint8Array;
  readonly qeIdentityChain: string;
  /** DER of `/sgx/certification/v4/pckcrl`. */
  readonly pckCrl: Uint8Array;
  readonly pckCrlChain: string;
  /** DER of the root's list. */
  readonly rootCrl: Uint8Array;
};

/**
 * Packs the service's answers into collateral of the kind `dcap`. What Intel signed is cut out of its answer and never
 * written again: the same values in another spelling are another text, which nobody signed.
 *
 * @throws REQUEST_MALFORMED, REQUEST_NOT_CANONICAL, TEE_EVIDENCE_MALFORMED
 */
export function packCollateral(answers: PcsAnswers): Uint8Array {
  const cut = (body: Uint8Array, member: string) => {
    const { value, slices } = parseObjectWithSlices(body);
    const place = slices.members.get(member);
    const { signature } = value;
    if (!place || typeof signature !== "string") {
      throw new CountersignError("TEE_EVIDENCE_MALFORMED", { message: `The answer holds no signed ${member}.` });
    }
    return { signed: fromUtf8(body.subarray(...place)), signature: signature.toLowerCase() };
  };
  const [tcb, qe] = [cut(answers.tcbInfo, "tcbInfo"), cut(answers.qeIdentity, "enclaveIdentity")];
  const packed: DcapCollateral = {
    pck_crl_issuer_chain: answers.pckCrlChain,
    root_ca_crl: toHex(answers.rootCrl),
    pck_crl: toHex(answers.pckCrl),
    tcb_info_issuer_chain: answers.tcbInfoChain,
    tcb_info: tcb.signed,
    tcb_info_signature: tcb.signature,
    qe_identity_issuer_chain: answers.qeIdentityChain,
    qe_identity: qe.signed,
    qe_identity_signature: qe.signature,
  };
  return utf8(JSON.stringify(packed));
}
