import { expect, it } from "vitest";
import { check } from "./check.ts";
import { register } from "./make.ts";
import { countInMemory } from "./opening-counter.ts";
import { forgeUnregistered } from "./protocol/unregistered.fixture.ts";

const forger = forgeUnregistered();
const { circuit, committed, input, context } = forger;
const weights = { kind: "hidden" as const, registered: committed.root };

// Two decompositions of one residue let these logits pass every check of the proof: only a registration stops them.
it.each([[[0, 0, 0, 0, 0, 0, 0, 31337, 0, 0]], [[-500000, 500000, -1, 1, 42, 31337, 777, -31337, 1000000, -1000000]]])(
  "never calls logits proven that a hostile commitment made up: %j",
  (logits) => {
    const made = forger.prove(logits);
    expect(check({ circuit, weights, input, context, ...made })).toMatchObject({
      status: "unproven",
      code: "ZK_COMMITMENT_UNREGISTERED",
      facts: { weights: "hidden", bounded: "weights-unbounded" },
    });
  },
);

it("takes no registration of such a commitment", () => {
  const opening = {
    kind: "hidden" as const,
    circuit,
    commitment: committed.root,
    committed,
    counter: countInMemory(1),
  };
  const registration = register(opening);
  const report = check({
    circuit,
    weights: { ...weights, registration },
    input,
    context,
    ...forger.prove(Array(10).fill(1)),
  });
  expect(report).toMatchObject({ status: "unproven", code: "ZK_PROOF_REFUSED" });
});
