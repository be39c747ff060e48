import { CountersignError } from "@countersign/core";

const refuser =
  (code: "ZK_IMPORT_MALFORMED" | "ZK_IMPORT_TOO_LARGE" | "ZK_MODEL_INVALID" | "ZK_CALIBRATION_INVALID") =>
  (message: string, why?: string, remedy?: string): never => {
    throw new CountersignError(code, { message, why, remedy });
  };

/** The bytes are no ONNX model, or one that contradicts itself. */
export const malformed = refuser("ZK_IMPORT_MALFORMED");
/** The file goes past a limit of the importer. */
export const tooLarge = refuser("ZK_IMPORT_TOO_LARGE");
/** A real model that has no integer form which the circuit takes. */
export const invalid = refuser("ZK_MODEL_INVALID");
/** The calibration set does not fit the model. */
export const uncalibrated = refuser("ZK_CALIBRATION_INVALID");

/** Refuses an operator by its name. @throws ZK_OPERATOR_UNSUPPORTED */
export function unsupported(operator: string, why?: string, remedy?: string): never {
  throw new CountersignError("ZK_OPERATOR_UNSUPPORTED", {
    message: `There is no circuit for the operator ${operator}.`,
    why,
    remedy,
    facts: { operator },
  });
}
