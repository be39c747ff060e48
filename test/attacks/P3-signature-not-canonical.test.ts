import { CountersignError, splitSignature } from "@countersign/core";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { expect, test } from "vitest";
import { paid, useWorld } from "./worlds.ts";

const world = useWorld();

/** The other signature of the same message that mathematics allows and the token's contract refuses. */
const highS = (signature: string) => {
  const s = secp256k1.Point.Fn.ORDER - BigInt(`0x${signature.slice(64, 128)}`);
  const v = signature.slice(128) === "1b" ? "1c" : "1b";
  return signature.slice(0, 64) + s.toString(16).padStart(64, "0") + v;
};

test("P3: a flipped s, another v and another length are refused before anything is served", async () => {
  const runs = world.get().node.runs();
  const body = paid();
  const asked = await world.required(body);
  for (const change of [highS, (s: string) => `${s.slice(0, 128)}00`, (s: string) => `${s.slice(0, 128)}1d`]) {
    const header = await world.sign(asked, { signature: change });
    expect(await world.refused(body, { "payment-signature": header })).toBe("402 SIGNATURE_NOT_CANONICAL");
  }
  for (const text of ["", "00", "ab".repeat(64), "AB".repeat(65)]) {
    let code = "split";
    try {
      splitSignature(text);
    } catch (error) {
      if (CountersignError.is(error)) code = error.code;
    }
    expect(code).toBe("SIGNATURE_NOT_CANONICAL");
  }
  expect(world.get().node.runs()).toBe(runs);
});
