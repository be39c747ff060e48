import { fault } from "../attestation.ts";
import type { SgxBody, TdBody } from "./quote.ts";

const littleEndian = (bytes: Uint8Array): bigint => bytes.reduceRight((n, b) => (n << 8n) | BigInt(b), 0n);
const bits = (...places: readonly number[]): bigint => places.reduce((mask, place) => mask | (1n << BigInt(place)), 0n);
const refuse = (why: string): never => fault("TEE_ATTRIBUTES_NOT_ALLOWED", why);

/** ATTRIBUTES of a trust domain (Intel TDX module ABI, "ATTRIBUTES"). */
const td = {
  /** The host can put no page away under the guest's feet and have the guest's own handler cover it up. */
  septVeDisable: bits(28),
  /** A service domain may move it to another machine, with all its memory. */
  migratable: bits(29),
  /** Features for the guest itself: LASS, protection keys for supervisor pages, key locker, performance counters. */
  harmless: bits(27, 30, 31, 63),
} as const;
/** Bits of XFAM that a module lets a domain set, and those that every domain has: x87 and SSE. */
const xfam = { allowed: 0x6dbe7n, always: 0x3n } as const;

/** ATTRIBUTES of an enclave (Intel SDM volume 3D, "ATTRIBUTES"): initialised, 64 bit; CET, key sharing, AEX-Notify. */
const sgx = {
  initialised: bits(0),
  debug: bits(1),
  /** Keys of the platform: an enclave with the provisioning key knows which machine it is on, wherever it goes. */
  platformKeys: bits(4, 5),
  harmless: bits(2, 6, 7, 10),
} as const;
/** XCR0 as an enclave may have it: x87 and SSE always; AVX, MPX, AVX-512, PKRU, CET, AMX. */
const xfrm = { allowed: 0x61affn, always: 0x3n } as const;

/** Whether the host can read and change what it attests: any bit of a domain's lowest byte (TUD), or DEBUG of an enclave. */
export function isDebug(body: SgxBody | TdBody): boolean {
  if (body.kind === "tdx") return body.tdAttributes[0] !== 0;
  return (littleEndian(body.attributes.subarray(0, 8)) & sgx.debug) !== 0n;
}

function checkFeatures(value: bigint, { allowed, always }: { allowed: bigint; always: bigint }, what: string): void {
  if ((value & always) !== always || (value & ~allowed) !== 0n) refuse(`${what} sets bits that are reserved.`);
}

/** @throws TEE_ATTRIBUTES_NOT_ALLOWED */
function checkTd(body: TdBody): string {
  // The lowest byte is debug mode, which is its own check.
  const attributes = littleEndian(body.tdAttributes) & ~0xffn;
  if (attributes & td.migratable) refuse("The domain may be moved to another machine (MIGRATABLE).");
  if (!(attributes & td.septVeDisable)) refuse("The host may take pages away unseen (SEPT_VE_DISABLE is off).");
  if (attributes & ~(td.septVeDisable | td.harmless)) refuse("The domain has attributes that are not known.");
  checkFeatures(littleEndian(body.xfam), xfam, "XFAM");
  if (body.newer && !/^0+$/.test(body.newer.mrServiceTd)) refuse("A service domain is bound to it (MRSERVICETD).");
  return "No migration, no service domain, no unknown attribute.";
}

/** @throws TEE_ATTRIBUTES_NOT_ALLOWED */
function checkSgx(body: SgxBody): string {
  const flags = littleEndian(body.attributes.subarray(0, 8)) & ~sgx.debug;
  if (flags & sgx.platformKeys) refuse("The enclave has keys of the platform (PROVISIONKEY or EINITTOKENKEY).");
  if (!(flags & sgx.initialised)) refuse("The enclave was not initialised.");
  if (flags & ~(sgx.initialised | sgx.harmless)) refuse("The enclave has attributes that are not known.");
  checkFeatures(littleEndian(body.attributes.subarray(8, 16)), xfrm, "XFRM");
  if (body.reservedSet) refuse("The enclave's report sets bytes that are reserved.");
  return "No keys of the platform, no unknown attribute.";
}

/** Checks that nothing but its measured code opens it. @throws TEE_ATTRIBUTES_NOT_ALLOWED */
export const checkAttributes = (body: SgxBody | TdBody): string =>
  body.kind === "tdx" ? checkTd(body) : checkSgx(body);
