import type { Abi, Hex as HexString } from "viem";
import compiled from "./artifacts.json" with { type: "json" };

type Artifact = { readonly abi: Abi; readonly bytecode: HexString };

/** The compiled contracts, as `npm run contracts` writes them. */
export const artifacts = compiled as unknown as Readonly<Record<"TestUSD" | "AnchorRegistry", Artifact>>;
