// Signed HTTP to AWS is shared with Lift's sending, which may know this part and no other.
export {
  Attempts,
  AwsConfigurationError,
  type AwsCredentials,
  type AwsCredentialsProvider,
  AwsEndpoint,
  isTransient,
  Payload,
  regionOf,
  statusOf,
} from "./aws/index.ts";
export * from "./channels.ts";
export * from "./errors.ts";
export * from "./ports.ts";
