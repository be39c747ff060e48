export { type CounterPlace, countInFiles } from "./file.ts";
