export { AwsConfigurationError, type AwsCredentials, type AwsCredentialsProvider } from "./credentials.ts";
export { getHttpStatus, isTransient } from "./errors.ts";
export { AwsEndpoint, AwsServiceError, Payload, parseRegion } from "./http.ts";
export { AwsJsonApi, type AwsTarget } from "./json-api.ts";
export { Retry } from "./retry.ts";
export { isSigned, readCredential, readPresigned, verifyPresigned } from "./verify.ts";
