import {
  CountersignError,
  canonicalBytes,
  concat,
  fromHex,
  type Hex,
  parseJsonBytes,
  toHex,
  utf8,
} from "@countersign/core";
import { sha384 } from "@noble/hashes/sha2.js";
import * as z from "zod";
import { fault } from "../attestation.ts";

/** dstack's type of events that are measured while the guest runs; none of the TCG's. */
const runtimeType = 0x08000001;
const runtimeRegister = 3;
const longest = 1_048_576;

const hex = (most: number) =>
  z
    .string()
    .max(2 * most)
    .regex(/^(?:[0-9a-f]{2})*$/, "expected lowercase hexadecimal text");

/** An event log: events in the order in which they were measured, as dstack writes them. */
export const eventLogShape = z
  .array(
    z.strictObject({
      /** 0 to 3. */
      imr: z.number().int().min(0).max(3),
      event_type: z.number().int().min(0).max(0xffffffff),
      /** SHA-384; empty where it follows from name and payload. */
      digest: z.string().regex(/^(?:[0-9a-f]{96})?$/, "expected 96 lowercase hexadecimal digits"),
      event: z.string().max(1024),
      event_payload: hex(65_536),
      version: z.union([z.literal(1), z.literal(2)]).default(1),
      /** What the digest is taken of, where the maker was asked to say it. */
      hash_input: hex(131_072).optional(),
    }),
  )
  .max(4096);
export type EventLog = z.infer<typeof eventLogShape>;
type Event = EventLog[number];

/** A runtime event: name and payload are both in its digest, so that RTMR3 vouches for them. */
export type RuntimeEvent = { readonly name: string; readonly payload: Hex };

const mismatch = (why: string): never => fault("TEE_EVENTLOG_MISMATCH", why);

/** Reads a log. @throws TEE_EVIDENCE_MALFORMED */
export function readEventLog(bytes: Uint8Array): EventLog {
  if (bytes.length > longest) return fault("TEE_EVIDENCE_MALFORMED", "The event log is too long.");
  let value: unknown;
  try {
    value = parseJsonBytes(bytes);
  } catch (error) {
    const why = CountersignError.is(error) ? error.detail.message : "no JSON";
    return fault("TEE_EVIDENCE_MALFORMED", `Event log: ${why}`);
  }
  const read = eventLogShape.safeParse(value);
  if (read.success) return read.data;
  const [first] = read.error.issues;
  return fault("TEE_EVIDENCE_MALFORMED", `Event log: ${first?.path.join(".") ?? ""} ${first?.message ?? "malformed"}`);
}

/** What dstack hashes: version 1 joins the parts with colons, version 2 writes canonical JSON (RFC 8785). */
function preimageOf({ event, event_payload, version }: Event): Uint8Array {
  if (version === 2) return canonicalBytes({ name: event, payload: event_payload, type: runtimeType });
  // With a colon in the name, one digest would stand for several names and payloads, and whoever carries the log chooses.
  if (event.includes(":")) mismatch(`The name of the event ${JSON.stringify(event)} holds a colon.`);
  return concat(Uint8Array.of(1, 0, 0, 8), utf8(`:${event}:`), fromHex(event_payload));
}

function digestOf(event: Event, at: number): Uint8Array {
  const runtime = event.event_type === runtimeType;
  // Names and payloads of boot events are in no digest: only RTMR3 holds events that anybody may read.
  if (runtime !== (event.imr === runtimeRegister)) mismatch(`Event ${at} is of another register's type.`);
  if (!runtime) return event.digest === "" ? mismatch(`Event ${at} has no digest.`) : fromHex(event.digest);
  const preimage = preimageOf(event);
  const digest = sha384(preimage);
  if (event.digest !== "" && event.digest !== toHex(digest))
    mismatch(`The digest of event ${at} is not its content's.`);
  if (event.hash_input !== undefined && event.hash_input !== toHex(preimage))
    mismatch(`What event ${at} is a hash of is not its content.`);
  return digest;
}

/**
 * Measures a log again: each digest extends its register, and the digests of runtime events are made from their content.
 *
 * @returns RTMR0 to RTMR3, and what RTMR3 says
 * @throws TEE_EVENTLOG_MISMATCH
 */
export function replayEvents(log: EventLog): {
  readonly registers: readonly Hex[];
  readonly events: readonly RuntimeEvent[];
} {
  const registers = Array.from({ length: 4 }, () => new Uint8Array(48));
  const events: RuntimeEvent[] = [];
  log.forEach((event, at) => {
    registers[event.imr] = sha384(concat(registers[event.imr] as Uint8Array, digestOf(event, at)));
    if (event.imr === runtimeRegister) events.push({ name: event.event, payload: event.event_payload });
  });
  return { registers: registers.map(toHex), events };
}

/** Checks a log against a quote's registers. @throws TEE_EVENTLOG_MISMATCH, TEE_EVIDENCE_MALFORMED */
export function checkEvents(bytes: Uint8Array, rtmrs: readonly Hex[]): readonly RuntimeEvent[] {
  const { registers, events } = replayEvents(readEventLog(bytes));
  registers.forEach((value, i) => {
    if (value !== rtmrs[i]) mismatch(`The log does not give RTMR${i}.`);
  });
  return events;
}
