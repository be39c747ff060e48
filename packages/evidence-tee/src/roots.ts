import type { Root } from "./attestation.ts";

/** The vendors' roots, by the digest that names them; nothing in a document ever adds one. Source: docs/tee.md. */
export const pinnedRoots: readonly Root[] = [
  {
    format: "nitro",
    name: "AWS Nitro Enclaves Root-G1",
    assurance: "hardware",
    digest: "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
  },
  ...(["tdx", "sgx"] as const).map((format) => ({
    format,
    name: "Intel SGX Root CA",
    assurance: "hardware" as const,
    digest: "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
  })),
  {
    format: "nvidia",
    name: "NVIDIA Device Identity CA",
    assurance: "hardware",
    digest: "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
  },
  {
    format: "sev-snp",
    name: "AMD ARK-Milan",
    family: "milan",
    assurance: "hardware",
    digest: "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
  },
  {
    format: "sev-snp",
    name: "AMD ARK-Genoa",
    family: "genoa",
    assurance: "hardware",
    digest: "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
  },
  {
    format: "sev-snp",
    name: "AMD ARK-Turin",
    family: "turin",
    assurance: "hardware",
    digest: "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
  },
];
