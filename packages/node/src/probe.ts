/** What the native engines of this machine say of themselves. @throws whatever the engine's loader throws */
export const probeEngines = {
  async llama(): Promise<string> {
    const { getLlama } = await import("node-llama-cpp");
    const llama = await getLlama({ build: "never", gpu: false });
    await llama.dispose();
    return "loaded, CPU";
  },
  async onnx(): Promise<string> {
    const { listSupportedBackends } = await import("onnxruntime-node");
    return listSupportedBackends()
      .map((b) => b.name)
      .join(", ");
  },
};
