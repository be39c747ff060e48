/**
 * Flags under which an enclave's runtime and its workers run, measured into PCR 2: a signal opens no inspector, where
 * this runtime has the flag.
 */
export const runtimeFlags = (): readonly string[] =>
  process.allowedNodeEnvironmentFlags.has("--disable-sigusr1") ? ["--disable-sigusr1"] : [];
