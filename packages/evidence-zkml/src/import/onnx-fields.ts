import type { MessageTable } from "./wire.ts";

// Field numbers of onnx.proto3 (ONNX, IR version 13). What has no bearing on the function is skipped by name; what
// would change it and is not read here is refused; anything else is unknown and refused too.

const many = true as const;

export const modelFields: MessageTable = {
  1: { name: "ir_version", kind: "int" },
  2: { name: "producer_name", kind: "skip" },
  3: { name: "producer_version", kind: "skip" },
  4: { name: "domain", kind: "skip" },
  5: { name: "model_version", kind: "skip" },
  6: { name: "doc_string", kind: "skip" },
  7: { name: "graph", kind: "bytes" },
  8: { name: "opset_import", kind: "bytes", many },
  14: { name: "metadata_props", kind: "skip" },
  20: { name: "training_info", kind: "refuse" },
  25: { name: "functions", kind: "refuse" },
  26: { name: "configuration", kind: "refuse" },
};

export const opsetFields: MessageTable = {
  1: { name: "domain", kind: "text" },
  2: { name: "version", kind: "int" },
};

export const graphFields: MessageTable = {
  1: { name: "node", kind: "bytes", many },
  2: { name: "name", kind: "skip" },
  5: { name: "initializer", kind: "bytes", many },
  10: { name: "doc_string", kind: "skip" },
  11: { name: "input", kind: "bytes", many },
  12: { name: "output", kind: "bytes", many },
  13: { name: "value_info", kind: "skip" },
  14: { name: "quantization_annotation", kind: "skip" },
  15: { name: "sparse_initializer", kind: "refuse" },
  16: { name: "metadata_props", kind: "skip" },
};

export const nodeFields: MessageTable = {
  1: { name: "input", kind: "text", many },
  2: { name: "output", kind: "text", many },
  3: { name: "name", kind: "text" },
  4: { name: "op_type", kind: "text" },
  5: { name: "attribute", kind: "bytes", many },
  6: { name: "doc_string", kind: "skip" },
  7: { name: "domain", kind: "text" },
  8: { name: "overload", kind: "text" },
  9: { name: "metadata_props", kind: "skip" },
  10: { name: "device_configurations", kind: "refuse" },
};

export const attributeFields: MessageTable = {
  1: { name: "name", kind: "text" },
  2: { name: "f", kind: "float" },
  3: { name: "i", kind: "int" },
  4: { name: "s", kind: "bytes" },
  5: { name: "t", kind: "bytes" },
  6: { name: "g", kind: "refuse" },
  7: { name: "floats", kind: "floats", many },
  8: { name: "ints", kind: "ints", many },
  9: { name: "strings", kind: "refuse" },
  10: { name: "tensors", kind: "refuse" },
  11: { name: "graphs", kind: "refuse" },
  13: { name: "doc_string", kind: "skip" },
  14: { name: "tp", kind: "refuse" },
  15: { name: "type_protos", kind: "refuse" },
  20: { name: "type", kind: "int" },
  21: { name: "ref_attr_name", kind: "refuse" },
  22: { name: "sparse_tensor", kind: "refuse" },
  23: { name: "sparse_tensors", kind: "refuse" },
};

export const tensorFields: MessageTable = {
  1: { name: "dims", kind: "ints", many },
  2: { name: "data_type", kind: "int" },
  3: { name: "segment", kind: "refuse" },
  4: { name: "float_data", kind: "floats", many },
  5: { name: "int32_data", kind: "ints", many },
  6: { name: "string_data", kind: "refuse" },
  7: { name: "int64_data", kind: "ints", many },
  8: { name: "name", kind: "text" },
  9: { name: "raw_data", kind: "bytes" },
  10: { name: "double_data", kind: "doubles", many },
  11: { name: "uint64_data", kind: "refuse" },
  12: { name: "doc_string", kind: "skip" },
  13: { name: "external_data", kind: "bytes", many },
  14: { name: "data_location", kind: "int" },
  16: { name: "metadata_props", kind: "skip" },
};

export const valueFields: MessageTable = {
  1: { name: "name", kind: "text" },
  2: { name: "type", kind: "bytes" },
  3: { name: "doc_string", kind: "skip" },
  4: { name: "metadata_props", kind: "skip" },
};

export const typeFields: MessageTable = {
  1: { name: "tensor_type", kind: "bytes" },
  4: { name: "sequence_type", kind: "refuse" },
  5: { name: "map_type", kind: "refuse" },
  6: { name: "denotation", kind: "skip" },
  8: { name: "sparse_tensor_type", kind: "refuse" },
  9: { name: "optional_type", kind: "refuse" },
};

export const tensorTypeFields: MessageTable = {
  1: { name: "elem_type", kind: "int" },
  2: { name: "shape", kind: "bytes" },
};

export const shapeFields: MessageTable = { 1: { name: "dim", kind: "bytes", many } };

export const dimensionFields: MessageTable = {
  1: { name: "dim_value", kind: "int" },
  2: { name: "dim_param", kind: "text" },
  3: { name: "denotation", kind: "skip" },
};
