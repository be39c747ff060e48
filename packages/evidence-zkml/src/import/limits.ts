/**
 * Bounds on what an import reads, checked before anything of that size is allocated.
 *
 * They are far above what the prover takes, and far below what hurts the machine that imports a stranger's file.
 */
export const limits = {
  /** Bytes of the file. */
  fileBytes: 256 * 2 ** 20,
  nodes: 1024,
  initialisers: 4096,
  /** Bytes of a name. */
  nameBytes: 1024,
  rank: 8,
  /** Elements of one tensor. */
  elements: 2 ** 25,
  /** Elements of everything that is computed from constants, so that a small file cannot ask for much by using one often. */
  madeElements: 2 ** 26,
  /** Elements of the input and of any layer's output, as in `checkShape`. */
  width: 65_536,
  /** Values that stand one by one, unpacked, in one message. */
  unpacked: 2 ** 20,
  /** Multiplications that folding linear layers into each other may take, all together. */
  foldWork: 2 ** 30,
  /** Numbers in a calibration set. */
  calibrationValues: 2 ** 27,
} as const;

/** Versions of the default operator set that were read for this importer. */
export const opsets = { least: 13, most: 24 } as const;
