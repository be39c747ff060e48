import { CountersignError } from "@countersign/core";
import { invalid, malformed, tooLarge, unsupported } from "./fault.ts";
import { limits, opsets } from "./limits.ts";
import {
  attributeFields,
  dimensionFields,
  graphFields,
  modelFields,
  nodeFields,
  opsetFields,
  shapeFields,
  tensorTypeFields,
  typeFields,
  valueFields,
} from "./onnx-fields.ts";
import { elementTypes, readTensor, type Tensor } from "./tensor.ts";
import { type Message, readMessage } from "./wire.ts";

/** One operator; `attributes` are read when asked for, so that an unknown operator is refused by its name first. */
export type OnnxNode = {
  readonly op: string;
  readonly name: string;
  /** Names of the inputs; "" is an optional one left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: () => Attributes;
};

/** The attributes of a node; each must be read, as one that is not known could change the function. */
export type Attributes = {
  readonly int: (name: string, otherwise: number) => number;
  readonly float: (name: string, otherwise: number) => number;
  readonly tensor: (name: string) => Tensor | undefined;
  readonly ints: (name: string) => readonly number[] | undefined;
  /** @throws ZK_OPERATOR_UNSUPPORTED when an attribute was not read. */
  readonly finish: () => void;
};

/** A named tensor that goes in or out; a size that is left open is `undefined`. */
export type Port = { readonly name: string; readonly dims: readonly (number | undefined)[] };

/** An ONNX graph whose names are distinct and whose nodes stand in an order in which they can run. */
export type OnnxGraph = {
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly input: Port;
  readonly output: Port;
};

const word = /^[A-Za-z0-9_.-]{1,128}$/;
const quote = (name: string) => JSON.stringify(name);

function readOpset(model: Message): number {
  const found = new Map<string, number>();
  for (const bytes of model.all<Uint8Array>("opset_import")) {
    const entry = readMessage(bytes, "opset import", opsetFields);
    const domain = (entry.text("domain") ?? "").replace(/^ai\.onnx$/, "");
    if (found.has(domain)) return malformed(`The operator set ${quote(domain)} is imported twice.`);
    found.set(domain, entry.int("version") ?? 0);
  }
  const version = found.get("");
  // Other sets may be listed, as exporters do; a node of theirs is refused by name.
  if (version === undefined || version < opsets.least || version > opsets.most)
    throw new CountersignError("ZK_OPSET_UNSUPPORTED", {
      message: `The model is written for operator set ${version ?? "(none)"}; ${opsets.least} to ${opsets.most} are read.`,
      why: "The same operator means different things in different sets.",
      remedy: `Export it again for operator set ${opsets.least} or above.`,
    });
  return version;
}

function readAttributes(op: string, raw: readonly Uint8Array[]): Attributes {
  const found = new Map<string, Message>();
  for (const bytes of raw) {
    const message = readMessage(bytes, `attribute of ${op}`, attributeFields);
    const name = message.text("name") ?? "";
    if (found.has(name)) return malformed(`A node ${op} has two attributes ${quote(name)}.`);
    found.set(name, message);
  }
  const unread = new Set(found.keys());
  const take = (name: string, field: string): Message | undefined => {
    unread.delete(name);
    const message = found.get(name);
    // proto3 leaves out zeros: then the declared type alone says which field is meant.
    const types: Readonly<Record<string, number>> = { f: 1, i: 2, t: 4, ints: 7 };
    const type = message?.int("type");
    if (message && type !== undefined && type !== 0 && type !== types[field])
      return malformed(`The attribute ${quote(name)} of ${op} has another type than ${op} gives it.`);
    return message;
  };
  return {
    int: (name, otherwise) => {
      const message = take(name, "i");
      return message === undefined ? otherwise : (message.int("i") ?? 0);
    },
    float: (name, otherwise) => {
      const message = take(name, "f");
      const value = message === undefined ? otherwise : (message.float("f") ?? 0);
      return Number.isFinite(value) ? value : malformed(`The attribute ${quote(name)} of ${op} is ${value}.`);
    },
    tensor: (name) => {
      const bytes = take(name, "t")?.bytes("t");
      return bytes === undefined ? undefined : readTensor(bytes).tensor;
    },
    ints: (name) => {
      const message = take(name, "ints");
      return message && [...message.numbers("ints")];
    },
    finish: () => {
      for (const name of unread) unsupported(op, `Its attribute ${quote(name)} is not known here.`);
    },
  };
}

function readNode(bytes: Uint8Array): OnnxNode {
  const message = readMessage(bytes, "node", nodeFields);
  const domain = message.text("domain") ?? "";
  const plain = domain === "" || domain === "ai.onnx";
  const op = message.text("op_type") ?? "";
  if (op === "") return malformed("A node names no operator.");
  // Both end up in messages and logs.
  if (!word.test(op) || (domain !== "" && !word.test(domain)))
    return malformed(`A node has the operator ${quote(`${domain}::${op}`)}, which is no name.`);
  if (!plain) return unsupported(`${domain}::${op}`, "It is not of ONNX's own operator set.");
  if ((message.text("overload") ?? "") !== "") return unsupported(op, "It is an overload of a function in the file.");
  const raw = message.all<Uint8Array>("attribute");
  return {
    op,
    name: message.text("name") ?? "",
    inputs: message.all<string>("input"),
    outputs: message.all<string>("output"),
    attributes: () => readAttributes(op, raw),
  };
}

function readPort(bytes: Uint8Array): Port & { readonly type: number | undefined } {
  const message = readMessage(bytes, "value", valueFields);
  const name = message.text("name") ?? "";
  if (name === "") return malformed("An input or output has no name.");
  const tensor = readMessage(message.bytes("type") ?? new Uint8Array(), "type", typeFields).bytes("tensor_type");
  if (tensor === undefined) return malformed(`${quote(name)} has no tensor type.`);
  const type = readMessage(tensor, "tensor type", tensorTypeFields);
  const shape = readMessage(type.bytes("shape") ?? new Uint8Array(), "shape", shapeFields);
  const dims = shape.all<Uint8Array>("dim").map((dim) => {
    const size = readMessage(dim, "dimension", dimensionFields);
    if (size.has("dim_value") && size.has("dim_param")) return malformed("A dimension has a size and a name.");
    return size.int("dim_value");
  });
  if (dims.length > limits.rank) return tooLarge(`${quote(name)} has ${dims.length} dimensions.`);
  return { name, dims, type: type.int("elem_type") };
}

function readConstants(graph: Message): ReadonlyMap<string, Tensor> {
  const constants = new Map<string, Tensor>();
  const raw = graph.all<Uint8Array>("initializer");
  if (raw.length > limits.initialisers) return tooLarge(`The graph has more than ${limits.initialisers} initialisers.`);
  for (const bytes of raw) {
    const { name, tensor } = readTensor(bytes);
    if (name === "") return malformed("An initialiser has no name.");
    if (constants.has(name)) return malformed(`Two initialisers are called ${quote(name)}.`);
    constants.set(name, tensor);
  }
  return constants;
}

/** Refuses names that stand twice and nodes that read what no earlier node wrote, which is also how a cycle shows. */
function checkOrder(nodes: readonly OnnxNode[], known: Set<string>, output: string): void {
  for (const node of nodes) {
    for (const name of node.inputs)
      if (name !== "" && !known.has(name))
        malformed(
          `A node ${node.op} reads ${quote(name)}, which nothing before it gives.`,
          "An initialiser is missing, or the nodes stand in no order in which they can run, as in a cycle.",
        );
    for (const name of node.outputs) {
      if (name === "") continue;
      if (known.has(name)) malformed(`The name ${quote(name)} stands for two values.`);
      known.add(name);
    }
  }
  if (!known.has(output)) malformed(`Nothing gives the output ${quote(output)}.`);
}

/**
 * Reads an ONNX file: one graph, one float input, one output, operator set 13 or above, all data inside.
 *
 * @throws ZK_IMPORT_MALFORMED, ZK_IMPORT_TOO_LARGE, ZK_IMPORT_EXTERNAL, ZK_OPSET_UNSUPPORTED, ZK_OPERATOR_UNSUPPORTED, ZK_MODEL_INVALID
 */
export function readOnnx(bytes: Uint8Array): OnnxGraph {
  if (bytes.length > limits.fileBytes) return tooLarge(`The file is larger than ${limits.fileBytes} bytes.`);
  const model = readMessage(bytes, "model", modelFields);
  const opset = readOpset(model);
  const body = model.bytes("graph");
  if (body === undefined) return malformed("The file holds no graph.");
  const graph = readMessage(body, "graph", graphFields);
  const rawNodes = graph.all<Uint8Array>("node");
  if (rawNodes.length > limits.nodes) return tooLarge(`The graph has more than ${limits.nodes} nodes.`);
  const nodes = rawNodes.map(readNode);
  const constants = readConstants(graph);
  const ports = graph.all<Uint8Array>("input").map(readPort);
  if (new Set(ports.map((p) => p.name)).size !== ports.length) return malformed("Two inputs have one name.");
  // Before IR version 4 initialisers stood among the inputs too, as defaults that a caller may replace.
  const inputs = ports.filter((p) => !constants.has(p.name));
  const outputs = graph.all<Uint8Array>("output").map(readPort);
  const [input, output] = [inputs[0], outputs[0]];
  if (inputs.length !== 1 || outputs.length !== 1 || input === undefined || output === undefined)
    return invalid(
      `The model has ${inputs.length} inputs and ${outputs.length} outputs; one of each is read.`,
      undefined,
      "Export it with one input and one output.",
    );
  if (elementTypes[input.type as 1] !== "float32")
    return invalid("The model's input is no float32 tensor.", undefined, "Export it with a float32 input.");
  checkOrder(nodes, new Set([...constants.keys(), input.name]), output.name);
  return { opset, nodes, constants, input, output };
}
