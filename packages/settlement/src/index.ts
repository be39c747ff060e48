export { type Anvil, findAnvil, randomChainId, startAnvil } from "./chain/anvil.ts";
export { assertChain } from "./chain/assert.ts";
export {
  type Contract,
  type Deployment,
  deployContracts,
  fundGas,
  mint,
  readCodeHash,
  sendAndWait,
} from "./chain/deploy.ts";
export { readAuthorizationState, readBalance, readToken } from "./chain/read.ts";
export { openRpc, type Rpc, RpcRefusal } from "./chain/rpc.ts";
export { generatePrivateKey, openWallet, type Transaction, type Wallet } from "./chain/wallet.ts";
export { artifacts } from "./contracts/artifacts.ts";
export { type Facilitator, facilitatorRoutes, openFacilitator, type VerifyResult } from "./facilitator.ts";
export { type Head, headDigest, headShape, headStruct } from "./head.ts";
export {
  authorizationLife,
  type DeploymentFacts,
  makeOffer,
  offerLife,
  type SignedOffer,
} from "./offers.ts";
export { type PriceTable, priceTableShape, quote, recomputeQuote, type UsageBound } from "./price.ts";
export {
  openSettleQueue,
  type Settled,
  type SettleOutcome,
  type SettleQueue,
  type SettleQueueOptions,
} from "./settle/queue.ts";
export { checkFunds } from "./x402/funds.ts";
export { loadNativeRecover, type Recover } from "./x402/recover-native.ts";
export { type CheckedPayment, checkAuthorization, checkPayment, loadOffer, offerOf } from "./x402/verify-payment.ts";
export {
  decodePayment,
  decodeRequired,
  decodeSettlement,
  type Extension,
  encodePayment,
  encodeRequired,
  encodeSettlement,
  largestPaymentHeader,
  largestRequiredHeader,
  longestTimeout,
  type PaymentPayload,
  type PaymentRequired,
  parsePayment,
  parseRequirements,
  paymentHeaderOf,
  type RequiredAnswer,
  type Requirements,
  requirementsOf,
  type SettlementResult,
} from "./x402/wire.ts";
