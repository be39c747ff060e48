/** The nearest whole number, ties to the even one, as ONNX's QuantizeLinear rounds. */
export function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** `x` within `low` and `high`. */
export const clamp = (x: number, low: number, high: number): number => (x < low ? low : x > high ? high : x);
