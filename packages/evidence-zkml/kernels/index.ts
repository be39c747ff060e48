export { alloc, mark, reset } from './memory';
export { mul, toM, fromM, toMv, fromMv, scaleV, powers } from './field';
export { ntt, bitrev, widenI8 } from './ntt';
export { emul, edot, escale, eaxpy, eaxpyBase, efill, efold, eqTable, invBatch, invBack, toPlanes, fromPlanes, prodRound, zeroRound, fractionLevel, fractionRound } from './extension';
export { axpyPlanes, mulAccPlanes, combineI8, reduceI64, gather } from './rows';
export { hashColumns, hashBytes, merkleLevel, stretch } from './hash';
