import { compile, mostOutputs, type Options, type Shape, vars } from "./circuit.ts";
import type { Ext } from "./field.ts";
import { checkPath, draw, newReader, planes, readColumns, toBytes } from "./reading.ts";
import { demand, type Outcome, outcomeOf } from "./refusal.ts";
import { newTranscript, type Transcript } from "./transcript.ts";
import { checkCombination, rowFactors } from "./weights.ts";

export type LinkStatement = {
  readonly shape: Shape;
  readonly options: Options;
  readonly parent: Uint8Array;
  readonly child: Uint8Array;
};

/** §7.4: two roots of one circuit hold the same words. */
export const checkLink = (s: LinkStatement, proof: Uint8Array, transcript: Transcript = newTranscript()): Outcome =>
  outcomeOf(() => {
    const circuit = compile(s.shape, s.options);
    demand(circuit.hiddenWeights && s.parent.length === 32 && s.child.length === 32, "statement");
    const { C, RW, tW, kW, nW, QW } = circuit.weights;
    const reader = newReader(proof);
    const { absorb } = transcript;
    const [parentMask, childMask] = [reader.root(), reader.root()];
    absorb(1, Uint8Array.of(4));
    absorb(2, circuit.digest);
    absorb(18, s.parent);
    absorb(19, s.child);
    absorb(9, parentMask);
    absorb(9, childMask);
    const r = draw(transcript, vars(mostOutputs(s.shape)));
    const rho = transcript.element();
    const sHi = draw(transcript, vars(s.shape.layers.length));
    const chi = transcript.element();
    const ucWords = reader.words(4 * kW, true);
    absorb(14, toBytes(ucWords));
    const tailWords = reader.words(4 * tW, true);
    absorb(20, toBytes(tailWords));
    const uc = planes(ucWords);
    const childUc: readonly Ext[] = [...uc.slice(0, C), ...planes(tailWords)];
    const parentColumns = transcript.columns(QW, nW);
    const childColumns = transcript.columns(QW, nW);

    const parent = readColumns(reader, RW, parentColumns);
    const parentM = readColumns(reader, 4, parentColumns);
    const child = readColumns(reader, RW, childColumns);
    const childM = readColumns(reader, 4, childColumns);
    checkPath(reader, nW, parentColumns, parent, s.parent, "parent");
    checkPath(reader, nW, parentColumns, parentM, parentMask, "parent's mask");
    checkPath(reader, nW, childColumns, child, s.child, "child");
    checkPath(reader, nW, childColumns, childM, childMask, "child's mask");
    reader.end();

    const factors = rowFactors(circuit, r, rho, sHi);
    checkCombination(circuit, parentColumns, uc, chi, factors, parent, parentM, "8: parent");
    checkCombination(circuit, childColumns, childUc, chi, factors, child, childM, "8: child");
  });
