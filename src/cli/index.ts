export { isLoopback } from "../internal/this-machine.ts";
export type { DevelopmentIdentity, DevelopmentTokenOptions } from "./development.ts";
export {
  developmentSecret,
  mintDevelopmentToken,
  verifyDevelopmentToken,
} from "./development.ts";
export type { CliErrorCode } from "./errors.ts";
export { CliError } from "./errors.ts";
