import { CountersignError, type ErrorCode } from "@countersign/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { importOnnx, lower, readOnnx } from "./index.ts";
import { bytes, type Constant, float, int, type Model, port, tensor, varint, write } from "./onnx-writer.fixture.ts";
import { randomModel } from "./random-model.fixture.ts";

const f32 = (dims: readonly (number | bigint)[], ...data: number[]): Constant => ({
  dims,
  data: Float32Array.from(data),
});
const honest: Model = {
  nodes: [
    { op: "Gemm", in: ["x", "w1", "b1"], out: ["z"], attributes: { transB: 1 } },
    { op: "Relu", in: ["z"], out: ["h"] },
    { op: "Gemm", in: ["h", "w2"], out: ["y"], attributes: { transB: 1 } },
  ],
  constants: {
    w1: f32([3, 2], 0.5, -0.5, 0.25, 0.75, -1, 1),
    b1: f32([3], 0.1, 0.2, -0.3),
    w2: f32([2, 3], 1, -1, 0.5, 0.5, 0.25, -0.75),
  },
  input: ["x", ["n", 2]],
  output: ["y", ["n", 2]],
};
const samples = [Float32Array.of(1, -1), Float32Array.of(0.5, 0.25), Float32Array.of(-1, 1)];
const imported = (file: Uint8Array) => importOnnx(file, { samples });
const refused = (file: Uint8Array, code: ErrorCode, words = "") => {
  const thrown = (() => {
    try {
      imported(file);
    } catch (error) {
      return error;
    }
  })();
  expect(CountersignError.is(thrown), String(thrown)).toBe(true);
  expect(thrown).toMatchObject({ code });
  expect((thrown as Error).message).toContain(words);
};
const withNodes = (...nodes: Model["nodes"]): Uint8Array => write({ ...honest, nodes });
const withConstant = (name: string, c: Constant): Uint8Array =>
  write({ ...honest, constants: { ...honest.constants, [name]: c } });
const gemm = (from: string, out: string, weight = "w2") => ({
  op: "Gemm",
  in: [from, weight],
  out: [out],
  attributes: { transB: 1 },
});

it("takes the honest model, so that the refusals below are for what they change", () => {
  expect(imported(write(honest)).report.calibration.agreeing).toBe(3);
});

describe("bytes that are no model", () => {
  it("are refused at every cut", () => {
    const file = write(honest);
    for (let end = 0; end < file.length; end++)
      expect(() => imported(file.slice(0, end)), `cut at ${end}`).toThrow(CountersignError);
  });

  it("never crash and never hang, whatever one changes", () => {
    const files = [write(honest), write(randomModel(5).model), write(randomModel(9, true).model)];
    const change = fc.record({
      file: fc.nat(files.length - 1),
      at: fc.nat(2000),
      length: fc.nat(8),
      put: fc.uint8Array({ maxLength: 12 }),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        let file = files[changes[0]?.file as number] as Uint8Array;
        for (const { at, length, put } of changes) {
          const from = at % file.length;
          file = Uint8Array.from([...file.slice(0, from), ...put, ...file.slice(from + length)]);
        }
        try {
          lower(readOnnx(file));
        } catch (error) {
          expect(CountersignError.is(error), String((error as Error).stack)).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("have one reading: fields that stand twice or are unknown, groups and wrong wire types are refused", () => {
    const file = write(honest);
    const twice = Uint8Array.from([...file, ...bytes(7)]);
    refused(twice, "ZK_IMPORT_MALFORMED", "two fields graph");
    refused(Uint8Array.from([...file, ...int(99, 1)]), "ZK_IMPORT_MALFORMED", "unknown field 99");
    refused(Uint8Array.from([...file, ...varint((14 << 3) | 3)]), "ZK_IMPORT_MALFORMED", "group");
    refused(Uint8Array.from([...file, ...bytes(1, "x")]), "ZK_IMPORT_MALFORMED", "wire type");
    refused(Uint8Array.from([...file, ...bytes(25)]), "ZK_IMPORT_MALFORMED", "functions");
    refused(write({ ...honest, graph: bytes(15) }), "ZK_IMPORT_MALFORMED", "sparse_initializer");
  });

  it("with names that are no UTF-8, or endless, are refused", () => {
    refused(write({ ...honest, graph: bytes(11, bytes(1, Uint8Array.of(0xff, 0xfe))) }), "ZK_IMPORT_MALFORMED");
    refused(write({ ...honest, graph: bytes(11, port("a".repeat(2000), [1])) }), "ZK_IMPORT_TOO_LARGE");
  });
});

describe("operator sets", () => {
  it.each([0, 1, 12, 25, 2 ** 40])("%i is refused", (opset) => {
    refused(write({ ...honest, opset }), "ZK_OPSET_UNSUPPORTED");
  });

  it("that are imported twice, or not at all, are refused", () => {
    refused(write({ ...honest, model: bytes(8, bytes(1, ""), int(2, 17)) }), "ZK_IMPORT_MALFORMED", "twice");
    refused(write({ ...honest, model: bytes(8, bytes(1, "ai.onnx"), int(2, 17)) }), "ZK_IMPORT_MALFORMED", "twice");
    refused(bytes(7, bytes(2, "g")), "ZK_OPSET_UNSUPPORTED");
  });
});

describe("operators without a circuit", () => {
  it.each(["Conv", "LSTM", "Gelu", "Tanh", "MaxPool", "If", "toString", "__proto__", "constructor"])(
    "%s is refused by name",
    (op) => {
      refused(withNodes({ op, in: ["x"], out: ["y"] }), "ZK_OPERATOR_UNSUPPORTED", op);
    },
  );

  it("of other domains are refused with theirs", () => {
    refused(
      withNodes({ op: "Gemm", domain: "com.example", in: ["x", "w2"], out: ["y"] }),
      "ZK_OPERATOR_UNSUPPORTED",
      "com.example::Gemm",
    );
  });

  it("with attributes that are not known are refused, as these could change the function", () => {
    refused(
      withNodes({ op: "Relu", in: ["x"], out: ["y"], attributes: { leak: { float: 0.1 } } }),
      "ZK_OPERATOR_UNSUPPORTED",
      "leak",
    );
  });

  it("in forms without a circuit are refused with the form", () => {
    const [a, b] = [
      { op: "Gemm", in: ["x", "w1", "b1"], out: ["z"], attributes: { transB: 1 } },
      { op: "Relu", in: ["z"], out: ["h"] },
    ];
    const wide = { ...honest, output: ["y", ["n", 3]] } as const;
    refused(
      write({ ...wide, nodes: [a, { op: "Relu", in: ["z"], out: ["y"] }] }),
      "ZK_OPERATOR_UNSUPPORTED",
      "Relu as the output",
    );
    refused(withNodes({ op: "Relu", in: ["x"], out: ["y"] }), "ZK_OPERATOR_UNSUPPORTED", "Relu");
    refused(
      withNodes(a, b, { op: "Add", in: ["h", "z"], out: ["y"] }),
      "ZK_OPERATOR_UNSUPPORTED",
      "Add of two computed values",
    );
    refused(
      withNodes(a, b, { op: "Identity", in: ["z"], out: ["q"] }, gemm("h", "y")),
      "ZK_OPERATOR_UNSUPPORTED",
      "branch",
    );
    refused(
      withNodes(a, { op: "Softmax", in: ["z"], out: ["s"] }, gemm("s", "y")),
      "ZK_OPERATOR_UNSUPPORTED",
      "Gemm after Softmax",
    );
    refused(withNodes(a, { op: "Clip", in: ["z", "low"], out: ["h"] }, gemm("h", "y")), "ZK_IMPORT_MALFORMED", "low");
    refused(
      write({
        ...honest,
        nodes: [a, { op: "Clip", in: ["z", "low"], out: ["h"] }, gemm("h", "y")],
        constants: { ...honest.constants, low: f32([], -1) },
      }),
      "ZK_OPERATOR_UNSUPPORTED",
      "Clip other than from 0",
    );
  });
});

describe("graphs that contradict themselves", () => {
  it("name something twice, or nothing", () => {
    refused(
      write({ ...honest, graph: bytes(5, tensor("w1", f32([1], 1))) }),
      "ZK_IMPORT_MALFORMED",
      "Two initialisers",
    );
    refused(withNodes(gemm("x", "w1", "w1")), "ZK_IMPORT_MALFORMED", "two values");
    refused(withNodes({ op: "Relu", in: ["x"], out: ["x"] }), "ZK_IMPORT_MALFORMED", "two values");
    refused(withNodes(gemm("x", "z", "lost")), "ZK_IMPORT_MALFORMED", "lost");
    refused(withNodes({ op: "", in: ["x"], out: ["y"] }), "ZK_IMPORT_MALFORMED", "no operator");
    refused(withNodes(), "ZK_IMPORT_MALFORMED", "Nothing gives");
    refused(write({ ...honest, graph: bytes(11, port("x", [1])) }), "ZK_IMPORT_MALFORMED", "one name");
    refused(write({ ...honest, graph: bytes(11, port("x2", [1])) }), "ZK_MODEL_INVALID", "2 inputs");
  });

  it("run in circles", () => {
    refused(
      withNodes({ op: "Relu", in: ["b"], out: ["a"] }, { op: "Relu", in: ["a"], out: ["b"] }, gemm("x", "y")),
      "ZK_IMPORT_MALFORMED",
      "cycle",
    );
  });

  it("have sizes that do not fit", () => {
    refused(withConstant("w1", f32([2, 3], 1, 2, 3, 4, 5, 6)), "ZK_IMPORT_MALFORMED", "sizes");
    refused(withConstant("b1", f32([2], 1, 2)), "ZK_IMPORT_MALFORMED");
    refused(withConstant("b1", f32([3, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9)), "ZK_IMPORT_MALFORMED");
    refused(write({ ...honest, input: ["x", ["n", 3]] }), "ZK_IMPORT_MALFORMED");
    refused(write({ ...honest, output: ["y", ["n", 5]] }), "ZK_IMPORT_MALFORMED", "declared");
    refused(write({ ...honest, input: ["x", [4, 2]] }), "ZK_OPERATOR_UNSUPPORTED", "several rows");
    refused(write({ ...honest, input: ["x", ["n", "m"]] }), "ZK_MODEL_INVALID", "fixed size");
  });
});

describe("hostile tensors", () => {
  it.each<[string, readonly (number | bigint)[], ErrorCode]>([
    ["negative", [-1, 2], "ZK_IMPORT_MALFORMED"],
    ["zero", [0, 2], "ZK_IMPORT_MALFORMED"],
    ["overflowing", [2n ** 32n, 2n ** 32n], "ZK_IMPORT_TOO_LARGE"],
    ["past 2^53", [2n ** 62n], "ZK_IMPORT_MALFORMED"],
    ["of gigabytes", [65_536, 65_536], "ZK_IMPORT_TOO_LARGE"],
    ["of many dimensions", new Array(40).fill(1), "ZK_IMPORT_TOO_LARGE"],
    ["of more data", [3, 3], "ZK_IMPORT_MALFORMED"],
  ])("with sizes %s are refused", (_, dims, code) => {
    refused(withConstant("w1", { dims, data: Float32Array.of(1, 2, 3, 4, 5, 6) }), code);
  });

  it("with a number too few, too many or cut are refused, though their sizes fit", () => {
    for (const length of [20, 21, 25, 28]) {
      const raw = bytes(9, new Uint8Array(length));
      refused(
        withConstant("w1", { dims: [3, 2], data: Float32Array.of(1), raw }),
        "ZK_IMPORT_MALFORMED",
        "its shape says 24",
      );
    }
    refused(
      withConstant("w1", { dims: [3, 2], data: Float32Array.of(1), raw: bytes(4, new Uint8Array(20)) }),
      "ZK_IMPORT_MALFORMED",
      "5 elements",
    );
  });

  it("inputs of hostile sizes are refused before anything is taken", () => {
    for (const dims of [
      [1, 2 ** 40],
      [1, 100_000],
      [2 ** 20, 2 ** 20],
      [1, 0],
      [1, -5],
    ])
      expect(() => imported(write({ ...honest, input: ["x", dims] }))).toThrow(CountersignError);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-40, -1e-44, 3e38])(
    "weights of %d are refused",
    (x) => {
      refused(withConstant("b1", f32([3], 1, x, 2)), "ZK_MODEL_INVALID");
      refused(withConstant("w1", f32([3, 2], 1, 2, 3, 4, 5, x)), "ZK_MODEL_INVALID");
      refused(
        withConstant("w1", { dims: [3, 2], data: Float64Array.of(1, 2, 3, 4, 5, x < 1 ? 1e-310 : x * 1e300) }),
        "ZK_MODEL_INVALID",
      );
    },
  );

  it("data in another file, in two fields or of another type are refused", () => {
    const raw = (body: Uint8Array): Constant => ({ dims: [3], data: Float32Array.of(1), raw: body });
    refused(withConstant("b1", raw(int(14, 1))), "ZK_IMPORT_EXTERNAL");
    refused(withConstant("b1", raw(bytes(13, bytes(1, "location"), bytes(2, "/etc/passwd")))), "ZK_IMPORT_EXTERNAL");
    const body = new Uint8Array(12);
    refused(
      withConstant("b1", raw(Uint8Array.from([...bytes(9, body), ...bytes(4, body)]))),
      "ZK_IMPORT_MALFORMED",
      "twice",
    );
    refused(withConstant("b1", raw(bytes(10, new Uint8Array(24)))), "ZK_IMPORT_MALFORMED", "double_data");
    refused(withConstant("b1", raw(bytes(4, new Uint8Array(13)))), "ZK_IMPORT_MALFORMED", "cut");
    expect(imported(withConstant("b1", raw(bytes(4, body)))).model.layers[0]?.bias).toEqual(new Int32Array(3));
    const loose = Uint8Array.from([...float(4, 0), ...float(4, 0), ...float(4, 0)]);
    expect(imported(withConstant("b1", raw(loose))).model.layers[0]?.bias).toEqual(new Int32Array(3));
  });

  it("quantised with scales of zero, below zero or of another number are refused", () => {
    for (const scale of [f32([], 0), f32([], -1), f32([4], 1, 1, 1, 1)]) {
      const nodes = [
        { op: "DequantizeLinear", in: ["q", "s"], out: ["w"], attributes: { axis: 0 } },
        gemm("x", "y", "w"),
      ];
      const constants = { q: { dims: [2, 2], data: Int8Array.of(1, 2, 3, 4) }, s: scale };
      refused(write({ ...honest, nodes, constants }), "ZK_IMPORT_MALFORMED");
    }
  });
});

describe("small files that ask for much", () => {
  const wide: Model = { ...honest, input: ["x", ["n", 65_536]], output: ["v600", ["n", 65_536]] };

  it("by repeating a cheap operator are refused", () => {
    const nodes = Array.from({ length: 600 }, (_, i) => ({
      op: "Add",
      in: [i === 0 ? "x" : `v${i}`, "c"],
      out: [`v${i + 1}`],
    }));
    refused(
      write({ ...wide, nodes, constants: { c: f32([1], 1) } }),
      "ZK_IMPORT_TOO_LARGE",
      "too much from its constants",
    );
  });

  it("by multiplying one matrix with itself are refused", () => {
    const n = 700;
    const w: Constant = { dims: [n, n], data: new Float32Array(n * n).fill(0.001) };
    const nodes = Array.from({ length: 40 }, (_, i) => ({
      op: "MatMul",
      in: [i === 0 ? "x" : `v${i}`, "w"],
      out: [`v${i + 1}`],
    }));
    const model = write({ ...wide, input: ["x", ["n", n]], output: ["v40", ["n", n]], nodes, constants: { w } });
    expect(() => importOnnx(model, { samples: [new Float32Array(n).fill(1)] })).toThrow(
      expect.objectContaining({ code: "ZK_IMPORT_TOO_LARGE" }),
    );
  });

  it("by more nodes than are read are refused", () => {
    const nodes = Array.from({ length: 1100 }, (_, i) => ({
      op: "Identity",
      in: [i === 0 ? "x" : `v${i}`],
      out: [`v${i + 1}`],
    }));
    refused(write({ ...honest, nodes, output: ["v1100", ["n", 2]] }), "ZK_IMPORT_TOO_LARGE", "nodes");
  });

  it("or put control characters into an operator's name are refused", () => {
    refused(withNodes({ op: "Relu\u001b[2J", in: ["x"], out: ["y"] }), "ZK_IMPORT_MALFORMED", "\\u001b");
  });
});

describe("models without an integer form", () => {
  it("of nothing but zeros are refused", () => {
    refused(withConstant("w2", f32([2, 3], 0, 0, 0, 0, 0, 0)), "ZK_MODEL_INVALID", "zeros");
  });

  it("of a bias far beyond their activations are refused", () => {
    refused(withConstant("b1", f32([3], -1e12, -1e12, -1e12)), "ZK_MODEL_INVALID");
  });

  it("whose dead first layer says nothing still import", () => {
    expect(imported(withConstant("b1", f32([3], -50, -50, -50))).report.calibration.agreeing).toBe(3);
  });
});

describe("grids", () => {
  const grid = (from: string, out: string, scale: string, zero: string) =>
    [
      { op: "QuantizeLinear", in: [from, scale, zero], out: [`${out}q`] },
      { op: "DequantizeLinear", in: [`${out}q`, scale, zero], out: [out] },
    ] as const;
  const model = (zero: number, scale: number) =>
    write({
      ...honest,
      nodes: [gemm("x", "z", "w1"), ...grid("z", "g", "s", "o"), gemm("g", "y")],
      constants: { ...honest.constants, s: f32([], scale), o: { dims: [], data: Uint8Array.of(zero) } },
    });

  it("that cut much between linear layers are refused; from zero they are a ReLU; wide ones are left out", () => {
    refused(model(3, 0.004), "ZK_MODEL_INVALID", "cut");
    expect(imported(model(0, 0.02)).model.layers).toHaveLength(2);
    expect(imported(model(128, 0.02)).model.layers).toHaveLength(1);
  });

  it("that are left with other scales, or not left, are refused", () => {
    const [first, second] = grid("z", "g", "s", "o");
    const constants = {
      ...honest.constants,
      s: f32([], 0.02),
      s2: f32([], 0.03),
      o: { dims: [], data: Uint8Array.of(0) },
    };
    const other = { ...second, in: ["gq", "s2", "o"] };
    const start = gemm("x", "z", "w1");
    refused(
      write({ ...honest, constants, nodes: [start, first, other, gemm("g", "y")] }),
      "ZK_OPERATOR_UNSUPPORTED",
      "other scales",
    );
    refused(
      write({ ...honest, constants, nodes: [start, first, gemm("gq", "y")] }),
      "ZK_OPERATOR_UNSUPPORTED",
      "integers",
    );
  });
});

describe("calibration sets", () => {
  const file = write(honest);
  it.each<[string, unknown]>([
    ["empty", { samples: [] }],
    ["of another length", { samples: [Float32Array.of(1)] }],
    ["with NaN", { samples: [Float32Array.of(1, Number.NaN)] }],
    ["all zero", { samples: [Float32Array.of(0, 0)] }],
    ["of other types", { samples: [[1, 2]] }],
    ["with too few labels", { samples, labels: [1] }],
    ["with labels of no output", { samples, labels: [0, 1, 2] }],
  ])("%s are refused", (_, set) => {
    expect(() => importOnnx(file, set as never)).toThrow(expect.objectContaining({ code: "ZK_CALIBRATION_INVALID" }));
  });
});
