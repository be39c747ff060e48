import { createHash } from "node:crypto";
import { CountersignError } from "@countersign/core";
import { extendRegister } from "@countersign/evidence-tee/make";

/** The hypervisor's registers, as Nitro has them: 0 to 15 are its own and locked from the start, 16 to 31 the enclave's. */
export type Registers = {
  /** Those that a document shows: the locked ones. */
  readonly locked: () => ReadonlyMap<number, Uint8Array>;
  /** @throws TEE_UNAVAILABLE for a locked register, or one that is not there */
  readonly extend: (register: number, data: Uint8Array) => void;
  readonly lock: (register: number) => void;
};

const count = 32;
const firstOwn = 16;

/** Value of a register after one digest was extended into zeros. */
export const measuredRegister = (digest: Uint8Array): Uint8Array =>
  extendRegister(new Uint8Array(48), new Uint8Array(createHash("sha384").update(digest).digest()));

/** @param measured Values of PCR 0, 1 and 2. */
export function openRegisters(measured: readonly [Uint8Array, Uint8Array, Uint8Array]): Registers {
  const values = Array.from({ length: count }, (_, i) => measured[i] ?? new Uint8Array(48));
  const locked = new Set(Array.from({ length: firstOwn }, (_, i) => i));
  const check = (register: number) => {
    if (!Number.isInteger(register) || register < 0 || register >= count || locked.has(register))
      throw new CountersignError("TEE_UNAVAILABLE", { message: `Register ${register} cannot be changed.` });
  };
  return {
    locked: () => new Map([...locked].sort((a, b) => a - b).map((i) => [i, values[i] as Uint8Array])),
    extend(register, data) {
      check(register);
      values[register] = extendRegister(values[register] as Uint8Array, data);
    },
    lock(register) {
      check(register);
      locked.add(register);
    },
  };
}
