export { AwsConfigurationError, type AwsCredentials, type AwsCredentialsProvider } from "./credentials.ts";
export { isTransient, statusOf } from "./errors.ts";
export { AwsEndpoint, AwsServiceError, Payload, regionOf } from "./http.ts";
export { Attempts } from "./retry.ts";
export { isSigned, type SignedRequest } from "./verify.ts";
