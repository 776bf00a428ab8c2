import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import type { Credentials } from "../gateway/index.ts";
import { CliError } from "./errors.ts";

type Environment = NodeJS.ProcessEnv;

/**
 * Sets the variables of a file that the environment does not have yet. Node reads `--env-file` after a script's name too,
 * and exits when the file is missing. But it does not set the variables, and after `node -- main.js` it ignores the flag.
 * @throws {CliError} USAGE when the file cannot be read
 */
export function loadEnvFile(path: string): void {
  try {
    process.loadEnvFile(path);
  } catch (error) {
    throw envFileError(path, error);
  }
}

/** Reads the variables of a file. @throws {CliError} USAGE when the file cannot be read */
export function readEnvFile(path: string): Record<string, string> {
  try {
    return Object.fromEntries(
      Object.entries(parseEnv(readFileSync(path, "utf8"))).map(([name, value]) => [name, value ?? ""]),
    );
  } catch (error) {
    throw envFileError(path, error);
  }
}

function envFileError(path: string, error: unknown): CliError {
  const { code } = error as NodeJS.ErrnoException;
  return new CliError("USAGE", `Cannot read the --env-file ${resolve(path)} (${code})`);
}

/** Reads the key pair in the environment. Call it before {@link setLambdaEnvironment}, which sets a dummy pair. */
export function readCredentials(env: Environment): Credentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  return accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined;
}

/** The function whose environment is emulated. */
export interface FunctionDescription {
  /** The endpoint that the AWS SDK uses for @connections: `http://127.0.0.1:3001/dev`. */
  readonly endpoint: string;
  readonly region: string;
  /** The handler on the command line, for `_HANDLER`. */
  readonly handler: string;
}

/** Sets the variables of the Lambda runtime that the environment does not have yet. */
export function setLambdaEnvironment(env: Environment, description: FunctionDescription): void {
  env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI = description.endpoint;
  const [major] = process.versions.node.split(".");
  const defaults: Environment = {
    AWS_REGION: description.region,
    AWS_DEFAULT_REGION: description.region,
    AWS_EXECUTION_ENV: `AWS_Lambda_nodejs${major}.x`,
    AWS_LAMBDA_FUNCTION_NAME: FUNCTION_NAME,
    AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128",
    AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${FUNCTION_NAME}`,
    AWS_LAMBDA_LOG_STREAM_NAME: "local",
    LAMBDA_TASK_ROOT: process.cwd(),
    TZ: ":UTC",
    _HANDLER: description.handler,
    ...(hasCredentials(env) ? {} : DUMMY_CREDENTIALS),
  };
  setDefaults(env, defaults);
}

/** Sets variables that are not set, or are empty. */
export function setDefaults(env: Environment, defaults: Environment): void {
  for (const [name, value] of Object.entries(defaults)) env[name] ||= value;
}

const FUNCTION_NAME = "lift-ws-dev";

/** The AWS SDK needs some credentials, and DynamoDB Local accepts only letters and digits. */
export const DUMMY_CREDENTIALS = { AWS_ACCESS_KEY_ID: "liftws", AWS_SECRET_ACCESS_KEY: "liftws" };

/**
 * Returns whether the AWS SDK will find credentials. Variables win over a profile, so dummy credentials must not hide the
 * user's own.
 */
function hasCredentials(env: Environment): boolean {
  return (
    readCredentials(env) !== undefined ||
    Boolean(env.AWS_PROFILE) ||
    Boolean(env.AWS_WEB_IDENTITY_TOKEN_FILE) ||
    Boolean(env.AWS_CONTAINER_CREDENTIALS_FULL_URI) ||
    Boolean(env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI) ||
    grantsCredentials(env.AWS_SHARED_CREDENTIALS_FILE ?? join(homedir(), ".aws", "credentials")) ||
    grantsCredentials(env.AWS_CONFIG_FILE ?? join(homedir(), ".aws", "config"))
  );
}

/** Returns whether a configuration file has credentials. Many have only a region. */
function grantsCredentials(path: string): boolean {
  try {
    const keys = /^\s*(aws_access_key_id|credential_process|login_session|role_arn|sso_\w+)\s*=/m;
    return keys.test(readFileSync(path, "utf8"));
  } catch {
    return false; // The file is missing or unreadable, so the SDK cannot read it either.
  }
}
