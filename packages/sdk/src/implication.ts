import { factsSuffice, type Policy, type Requirement, ways } from "@countersign/core";

const covers = (bought: readonly Requirement[], demand: Requirement) =>
  bought.some((b) => b.claim === demand.claim && b.ground === demand.ground && factsSuffice(b.facts, demand.facts));

/**
 * Whether whoever meets `guarantee` meets `demanded` too: every way of the one satisfies some way of the other (A12).
 *
 * A guarantee with a weak branch implies only what the weak branch gives.
 */
export function implies(guarantee: Policy, demanded: Policy): boolean {
  const wanted = ways(demanded);
  return ways(guarantee).every((way) => wanted.some((need) => need.every((demand) => covers(way, demand))));
}
