export { createApp, type NetworkFacts } from "./app.ts";
export {
  type Catalogue,
  type Describe,
  describeOverHttp,
  type NodeState,
  openCatalogue,
  readDescription,
  type Served,
} from "./catalogue.ts";
export { type Charge, type Charged, openCharge } from "./charge.ts";
export { type CheckedRun, checkRun } from "./check-run.ts";
export {
  configShape,
  type GatewayConfig,
  type GatewaySecrets,
  parseConfig,
  readConfig,
  readSecrets,
} from "./config.ts";
export { type Delivery, openDelivery, sendError } from "./delivery.ts";
export type { Deps, Identity, Limits, Payments, Terms } from "./deps.ts";
export { type Exchange, openExchange, type Reply } from "./exchange.ts";
export { type Gateway, type GatewayParts, listen, startGateway } from "./gateway.ts";
export { type Additions, type Match, matchGuarantee } from "./guarantee.ts";
export { judgeWhole, refusalOf } from "./judge.ts";
export { describeLog, type GatewayLog, openGatewayLog } from "./log.ts";
export { type Monitors, openMonitors } from "./monitors.ts";
export { nodeError, openNodeRunner, type RunOnNode, readEvent } from "./node-run.ts";
export { type Order, readOrder } from "./order.ts";
export { type Accepted, requirePayment, takePayment } from "./payment.ts";
export { chooseDeployment, type Offered, offerFor, tagOf } from "./quote.ts";
export { countersign, type Done, makeReceipt, publicForm } from "./receipt.ts";
export { blindDeployment, receiptEntry } from "./receipt-entry.ts";
export { openRefusals, type Refusals, signRefusals } from "./refusals.ts";
export { runOrder } from "./run-order.ts";
export { serveInference } from "./serve-inference.ts";
