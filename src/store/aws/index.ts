export { Attempts } from "./attempts.ts";
export { AwsConfigurationError, type AwsCredentials, type AwsCredentialsProvider } from "./credentials.ts";
export { isTransient, statusOf } from "./failures.ts";
export { AwsEndpoint, AwsServiceError, Payload, regionOf } from "./http.ts";
