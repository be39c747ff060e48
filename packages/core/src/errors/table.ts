/** What a code means to HTTP, to OpenAI clients and to the shell. Each code has a page: docs/errors/CODE.md. */
type Row = {
  /** HTTP status. */
  readonly http: number;
  /** Exit status of the command line: 1 refuted, 2 unmet or unproven, 64 usage, 69 unreachable, 70 our fault. */
  readonly exit: number;
  /** `type` in OpenAI's error envelope. */
  readonly type: string;
  /** What happened, for the table of all errors. */
  readonly title: string;
};

const row = (http: number, exit: number, title: string): Row => ({ http, exit, type: typeOf(http), title });

function typeOf(http: number): string {
  if (http === 401) return "authentication_error";
  if (http === 402) return "payment_error";
  if (http === 429) return "rate_limit_error";
  if (http === 422 || http === 412) return "assurance_error";
  return http < 500 ? "invalid_request_error" : "server_error";
}

/** Every error of the project. Closed: a code that is not here does not compile. */
export const errorTable = {
  // request
  REQUEST_MALFORMED: row(400, 64, "The body is not the JSON object that this endpoint takes."),
  REQUEST_NOT_CANONICAL: row(
    400,
    64,
    "The body has two readings: duplicate keys, lone surrogates or an integer past 2^53.",
  ),
  REQUEST_TOO_LARGE: row(413, 64, "The body is larger than the gateway accepts."),
  REQUEST_FIELD_INVALID: row(400, 64, "A field of the request has a wrong type or value."),
  PARAMETER_NOT_SUPPORTED: row(400, 64, "A parameter cannot be honoured, so it is refused rather than dropped."),
  CALLER_DIGEST_REFUSED: row(400, 64, "The caller sent a digest; digests are computed here only."),
  ENDPOINT_UNKNOWN: row(404, 64, "There is nothing at this path."),
  METHOD_NOT_ALLOWED: row(405, 64, "The path does not take this method."),
  MODEL_UNKNOWN: row(404, 64, "No deployment serves a model of this name."),
  MODEL_TASK_MISMATCH: row(400, 64, "The model does another job than the endpoint asks for."),
  LEVEL_UNKNOWN: row(400, 64, "The verification level is not one of the known names."),
  POLICY_MALFORMED: row(400, 64, "The policy text or object cannot be read."),
  POLICY_FIELD_UNKNOWN: row(400, 64, "The verification object has an unknown field."),
  POLICY_CONFLICT: row(400, 64, "The policies from header, body and model suffix cannot all hold."),
  ASSURANCE_NOT_OFFERED: row(412, 2, "No deployment can meet the demanded policy; nothing was charged."),
  DEADLINE_PASSED: row(400, 64, "The deadline of the policy lies in the past."),
  CONTEXT_TOO_LONG: row(400, 64, "The input does not fit into the model's context."),
  TENSOR_MALFORMED: row(400, 64, "A tensor cannot be read."),
  TENSOR_NOT_FINITE: row(400, 64, "A tensor holds NaN or an infinity."),
  TENSOR_SHAPE_MISMATCH: row(400, 64, "A tensor's shape does not fit the model."),
  TENSOR_TYPE_UNSUPPORTED: row(400, 64, "A tensor's element type is not supported."),
  INPUT_TOO_LARGE: row(413, 64, "An input is larger than the model's limit."),
  OPTION_UNKNOWN: row(400, 64, "An option is unknown; options are never ignored."),
  // offer, payment
  PAYMENT_REQUIRED: row(402, 2, "The request must be paid; the offers are in the PAYMENT-REQUIRED header."),
  PAYMENT_MALFORMED: row(400, 64, "The payment header cannot be read."),
  PAYMENT_INVALID: row(402, 2, "The payment authorisation is not valid."),
  PAYMENT_REPLAYED: row(409, 2, "This payment authorisation was used before."),
  PAYMENT_NOT_BOUND: row(402, 2, "The payment authorisation was made for another request."),
  PAYMENT_MISMATCH: row(402, 2, "The payment does not match the offer."),
  PAYER_MISMATCH: row(402, 1, "The recorded payer is not the one who signed."),
  SIGNATURE_NOT_CANONICAL: row(402, 2, "A signature is not in its one canonical form."),
  FUNDS_INSUFFICIENT: row(402, 2, "The paying wallet holds less than the price."),
  WALLET_MISSING: row(402, 64, "The request must be paid and no wallet was given."),
  OFFER_UNKNOWN: row(402, 2, "The payment names an offer that this gateway did not make."),
  OFFER_EXPIRED: row(402, 2, "The offer has expired; ask for a new one."),
  OFFER_SIGNATURE_INVALID: row(402, 1, "The offer is not signed by the gateway it names."),
  SPEND_CAP_EXCEEDED: row(402, 2, "The offer asks for more than the budget allows."),
  DEADLINE_TOO_FAR: row(402, 2, "The offer asks for an authorisation that lives too long."),
  OVERCHARGED: row(402, 1, "The charge is higher than usage times price."),
  USAGE_MISSING: row(502, 2, "The engine did not report usage, so nothing can be charged."),
  CONTRACT_MISSING: row(503, 69, "A contract that the offers name is not on the chain."),
  CHAIN_MISMATCH: row(503, 69, "The chain is not the one that the configuration names."),
  CHAIN_UNREACHABLE: row(503, 69, "The chain's RPC endpoint does not answer."),
  SETTLEMENT_FAILED: row(502, 2, "The payment could not be settled."),
  SETTLEMENT_NO_TRANSFER: row(502, 2, "The settlement transaction moved no tokens."),
  SETTLEMENT_REVERTED: row(502, 2, "The settlement transaction was reverted."),
  SETTLEMENT_MODE_UNKNOWN: row(400, 64, "The settlement mode is not one of the known names."),
  CHARGED_WHILE_UNMET: row(402, 1, "The payment was taken although the guarantee was not met."),
  // run
  NODE_UNREACHABLE: row(503, 69, "No node that serves the model answers."),
  NODE_BUSY: row(503, 69, "The node's queue is full."),
  ENGINE_CRASHED: row(502, 2, "The engine's worker process died during the run; nothing was charged."),
  ENGINE_FAILED: row(502, 2, "The engine refused or failed the run; nothing was charged."),
  UPSTREAM_FAILED: row(502, 2, "The upstream server failed; nothing was charged."),
  UPSTREAM_MALFORMED: row(502, 2, "The upstream's answer cannot be read; nothing was charged."),
  RUN_CANCELLED: row(499, 2, "The caller went away; the run was stopped."),
  RUN_INCOMPLETE: row(502, 2, "The run ended before a full answer was there."),
  RUN_TIMEOUT: row(504, 2, "The run took longer than allowed; nothing was charged."),
  MODEL_DIGEST_MISMATCH: row(500, 1, "A file does not hash to what its manifest says; it was not loaded."),
  WEIGHTS_UNAVAILABLE: row(503, 69, "The model's weights are not on this machine and could not be fetched."),
  EXECUTION_PROFILE_MISMATCH: row(500, 2, "The execution profile is not the recorded one."),
  NATIVE_MODULE_MISSING: row(500, 69, "A native library did not load; its slow stand-in is not used silently."),
  DEPLOYMENT_SUBSTITUTED: row(502, 1, "Another deployment answered than the offer names."),
  MODEL_MISMATCH: row(502, 1, "Another model answered than was asked for."),
  DEPLOYMENT_CHANGED: row(409, 2, "The deployment changed between offer and run."),
  REWRITE_UNDECLARED: row(502, 1, "What the engine saw is not what the client sent, and no rewrite is declared."),
  REPLAY_INPUT_MISSING: row(422, 2, "The receipt lacks what a re-execution needs."),
  REPLAY_MISMATCH: row(422, 1, "The re-execution gave other tokens than the receipt."),
  CAPABILITY_UNPROVEN: row(503, 2, "A node claims what nothing signed shows, so it is not offered."),
  NODE_NOT_ATTESTED: row(503, 69, "The node has no attested keys."),
  // receipt, evidence, log
  RECEIPT_MALFORMED: row(422, 2, "The receipt cannot be read."),
  RECEIPT_NOT_FOUND: row(404, 69, "There is no receipt with this id."),
  RECEIPT_WRONG_NETWORK: row(422, 2, "The receipt was issued on another network than the trust file names."),
  STATEMENT_ROOT_MISMATCH: row(422, 1, "The committed fields do not hash to the receipt root."),
  STATEMENT_MALFORMED: row(422, 2, "The signed statement cannot be read."),
  ENVELOPE_MALFORMED: row(422, 2, "The signed envelope cannot be read."),
  EVIDENCE_MISSING: row(422, 2, "The evidence that the policy asks for is not there."),
  EVIDENCE_OVERDUE: row(422, 2, "The promised evidence did not arrive before the deadline."),
  ENTRY_EVIDENCE_INVALID: row(422, 2, "The log entry's evidence does not check."),
  OUTPUT_MISMATCH: row(422, 1, "The delivered output is not the committed one."),
  REQUEST_MISMATCH: row(422, 1, "The request is not the committed one."),
  LEVEL_OVERSTATED: row(422, 1, "The receipt claims a level that its evidence does not carry."),
  CLAIM_REFUTED: row(422, 1, "A claim is refuted by evidence with standing."),
  CHECK_FAILED_TO_RUN: row(422, 2, "A check could not run; it counts as not passed."),
  CRITICAL_FIELD_UNKNOWN: row(422, 2, "The signed part has a field that this version does not know."),
  PLACEHOLDER_VALUE: row(422, 2, "A value is a placeholder, such as all zeros."),
  NONCE_REPLAYED: row(409, 2, "The client nonce was used before."),
  DOMAIN_MISMATCH: row(422, 2, "A signature was made for another purpose."),
  PROOF_INVALID: row(422, 2, "An inclusion or consistency proof does not check."),
  ROOT_MISMATCH: row(422, 1, "Recomputed data does not hash to the published root."),
  NOTE_MALFORMED: row(422, 2, "The signed note cannot be read."),
  CHECKPOINT_MALFORMED: row(422, 2, "The checkpoint cannot be read."),
  CHECKPOINT_SIGNATURE_INVALID: row(422, 1, "A known key's signature on the checkpoint is invalid."),
  CHECKPOINT_NOT_WITNESSED: row(422, 2, "The checkpoint lacks the witness quorum."),
  LOG_SPLIT_VIEW: row(409, 1, "The log shows two histories."),
  LOG_CORRUPT: row(500, 1, "The log's files contradict each other."),
  LOG_LOCKED: row(503, 69, "Another process writes to this log."),
  LOG_WRITE_FAILED: row(503, 69, "The log could not write to its disk, or is closed; nothing was acknowledged."),
  LOG_ENTRY_TOO_LARGE: row(400, 64, "A log entry is larger than 65,535 bytes."),
  INCLUSION_MISSING: row(422, 2, "The receipt has no proof that it is in the log."),
  INCLUSION_OVERDUE: row(422, 1, "The log promised to include the entry and did not."),
  UNSALTED_COMMITMENT: row(422, 1, "A published commitment can be guessed."),
  TIME_NOT_ANCHORED: row(422, 2, "The time is only the issuer's word."),
  SNAPSHOT_INVALID: row(422, 2, "The monitor's snapshot does not check."),
  DISCLOSURE_IMPOSSIBLE: row(422, 64, "The receipt does not hold what is needed to open this field."),
  // verdict, trust, client
  ASSURANCE_NOT_MET: row(422, 2, "The demanded assurance was not met."),
  ASSURANCE_DOWNGRADED: row(422, 2, "The answer has a weaker assurance than this deployment gave before."),
  DEVELOPMENT_TRUST_NOT_ALLOWED: row(422, 2, "The trust is a development stand-in and was not allowed by name."),
  TRUST_MISSING: row(422, 2, "No trust file names whom to believe."),
  TRUST_MALFORMED: row(422, 64, "The trust file cannot be read."),
  TRUST_CHANGE_UNLOGGED: row(422, 2, "A change of trust is not in the log."),
  REGISTRY_UNREACHABLE: row(503, 69, "The registry does not answer."),
  NODE_NOT_ACTIVE: row(503, 69, "The node's registration is not in force."),
  STREAM_MALFORMED: row(502, 2, "The stream holds something that is not an event."),
  STREAM_TRUNCATED: row(502, 2, "The stream ended before its signed end."),
  GATEWAY_UNREACHABLE: row(503, 69, "The gateway does not answer."),
  MANIFEST_MALFORMED: row(422, 64, "The model manifest cannot be read."),
  MANIFEST_SIGNATURE_INVALID: row(422, 1, "The manifest is not signed by its publisher."),
  MODEL_EXISTS: row(409, 64, "A model of this name with another digest is registered already."),
  // process
  CONFIG_INVALID: row(500, 64, "The configuration cannot be read."),
  NOT_READY: row(503, 69, "The process is still starting."),
  UNAUTHENTICATED: row(401, 64, "This endpoint is not for anonymous callers."),
  RATE_LIMITED: row(429, 69, "Too many requests at once."),
  FILE_UNREADABLE: row(400, 64, "A file cannot be read."),
  COMMAND_UNKNOWN: row(400, 64, "There is no such command."),
  COMMAND_MISUSED: row(400, 64, "The command's options or arguments are wrong."),
  TOOL_MISSING: row(503, 69, "A program that this needs is not on this machine."),
  NETWORK_RUNNING: row(409, 69, "A local network runs from this folder already."),
  PORT_IN_USE: row(503, 69, "The port is taken by another process."),
  STORE_CORRUPT: row(500, 69, "The store's file cannot be used."),
  CANCELLED: row(499, 2, "The user cancelled."),
  INTERNAL: row(500, 70, "Something failed that should not."),
} as const satisfies Readonly<Record<string, Row>>;

/** A code of the table. */
export type ErrorCode = keyof typeof errorTable;
