import * as z from "zod";
import type { Hex } from "./bytes.ts";

/** 32 bytes as lowercase hex: digests, roots, Ed25519 public keys. */
export const hex32 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 lowercase hexadecimal digits") as z.ZodType<Hex>;
/** An Ethereum address in lowercase. */
export const address = z.string().regex(/^0x[0-9a-f]{40}$/, "expected a lowercase 0x address");
/** A decimal amount in the asset's smallest unit, without leading zeros, below 2^256. */
export const amount = z
  .string()
  .regex(/^(?:0|[1-9][0-9]{0,77})$/, "expected a decimal integer")
  .refine((t) => BigInt(t) < 1n << 256n, "past 2^256");
/** CAIP-2 name of an EVM chain. */
export const network = z.string().regex(/^eip155:[1-9][0-9]{0,15}$/, "expected eip155:<chain id>");
/** Seconds since the epoch. */
export const seconds = z.number().int().min(0).max(253_402_300_799);
/** Milliseconds since the epoch. */
export const milliseconds = z.number().int().min(0).max(253_402_300_799_999);
/** A name for people: no control, format or direction characters, which could make a reason read as another. */
export const printableName = z.string().regex(/^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u, "expected printable text");
/** A name for people and programs: no white space, no control characters. */
export const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/, "expected a name");
