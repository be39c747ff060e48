import {
  CountersignError,
  type Envelope,
  type Hex,
  isSignedBy,
  type Registration,
  readRegistration,
  type Suite,
  type Trust,
} from "@countersign/core";

/** What is known of a key, and by whom; or why nothing is. */
export type KeyStanding =
  | { readonly status: "known"; readonly operator: string; readonly by: "trust" | "registrar" }
  | { readonly status: "unknown"; readonly reason: string };

/**
 * Whether `Trust` stands behind a key, for a role and a time.
 *
 * A key is believed when `Trust` names it, or when a registrar in `Trust` registered it for this network and role and
 * the time lies in its window. The stapled registrations are hints; only a valid signature by a named registrar counts.
 *
 * @param time Milliseconds for which the key must have been in force: when the statement was logged, else now.
 */
export function standingOfKey(args: {
  readonly key: Hex;
  readonly role: Registration["role"];
  readonly times: readonly number[];
  readonly keys: readonly Envelope[];
  readonly trust: Trust;
  readonly suite: Suite;
}): KeyStanding {
  const { key, role, trust } = args;
  const named = (role === "node" ? trust.nodes : trust.gateways).find((k) => k.key === key);
  if (named) return { status: "known", operator: named.name, by: "trust" };
  let reason = `No registrar in the trust "${trust.name}" registered this ${role} key.`;
  for (const envelope of args.keys) {
    let registration: Registration;
    try {
      registration = readRegistration(envelope).predicate;
    } catch (error) {
      if (!CountersignError.is(error)) throw error;
      continue;
    }
    if (registration.key !== key || registration.role !== role || registration.network !== trust.network) continue;
    const registrar = trust.registrars.find((r) => r.key === registration.registrar);
    if (!registrar || !isSignedBy(envelope, registrar.key, args.suite)) continue;
    if (args.times.every((t) => registration.notBefore <= t && t <= registration.notAfter)) {
      return { status: "known", operator: registration.operator, by: "registrar" };
    }
    reason = `The registration of this ${role} key was not in force at the time.`;
  }
  return { status: "unknown", reason };
}
