export type { DevelopmentIdentity, DevelopmentTokenOptions } from "./development.ts";
export {
  developmentSecret,
  isLoopback,
  mintDevelopmentToken,
  verifyDevelopmentToken,
} from "./development.ts";
export type { CliErrorCode } from "./errors.ts";
export { CliError } from "./errors.ts";
