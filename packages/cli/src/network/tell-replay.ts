import type { Replay } from "@countersign/node";

/** What a replay found, in one sentence without its full stop. */
export function tellReplay({ status, firstDifference: first, profileDifferences, compared }: Replay): string {
  if (status === "not-comparable") {
    const differing = profileDifferences.map((d) => `${d.setting} (${d.recorded} there, ${d.here} here)`);
    return `not comparable: this machine has another execution profile: ${differing.join(", ")}`;
  }
  if (!first) return `the same, ${compared} compared`;
  const { where, choice, position, recorded, replayed } = first;
  const one = recorded?.length === 64 || replayed?.length === 64 ? "value" : "token";
  const place = choice > 0 ? ` of answer ${choice}` : "";
  return `${where} ${one} ${position}${place} is ${recorded ?? "none"} in the receipt and ${replayed ?? "none"} when run again`;
}
