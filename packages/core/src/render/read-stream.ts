import { CountersignError } from "../errors/error.ts";
import type { ParsedRequest } from "../request.ts";
import { renderers } from "./renderers.ts";

/** Whether a request asks for events. @throws REQUEST_FIELD_INVALID, PARAMETER_NOT_SUPPORTED */
export function readStream({ path, value }: Pick<ParsedRequest, "path" | "value">): boolean {
  const invalid = (param: string, message: string): never => {
    throw new CountersignError("REQUEST_FIELD_INVALID", { message, param });
  };
  const { stream, stream_options: options } = value;
  if (stream !== undefined && stream !== null && typeof stream !== "boolean") {
    invalid("stream", "`stream` must be true or false.");
  }
  if (options !== undefined && options !== null) {
    if (typeof options !== "object" || Array.isArray(options)) invalid("stream_options", "It must be an object.");
    const unknown = Object.entries(options as object).find(
      ([name, wanted]) => name !== "include_usage" && !(name === "include_obfuscation" && wanted === false),
    );
    if (unknown) {
      throw new CountersignError("PARAMETER_NOT_SUPPORTED", {
        message: `\`stream_options.${unknown[0]}\` is not supported.`,
        param: "stream_options",
      });
    }
  }
  if (stream !== true) return false;
  if (renderers[path].stream) return true;
  throw new CountersignError("PARAMETER_NOT_SUPPORTED", {
    message: `${path} answers as a whole; it cannot stream.`,
    param: "stream",
  });
}
