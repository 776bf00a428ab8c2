import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import type { Credentials } from "../gateway/index.ts";
import { CliError } from "./errors.ts";

type Environment = NodeJS.ProcessEnv;

/**
 * Adds the variables of `path` that the environment does not have yet. Node has looked at the file before, as it
 * takes `--env-file` from behind a script's name too, and has ended the process if it is not there; but it leaves
 * its variables to the script, and `node -- main.js` leaves it all of the flag.
 * @throws {CliError} USAGE, when the file can't be read
 */
export function loadEnvFile(path: string): void {
  try {
    process.loadEnvFile(path);
  } catch (error) {
    throw envFileError(path, error);
  }
}

/** The variables of `path` alone. @throws {CliError} USAGE, when the file can't be read */
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
  return new CliError("USAGE", `Can't read the file of --env-file, ${resolve(path)} (${code})`);
}

/** The environment's own key pair, if it has one. Asked before {@link setLambdaEnvironment} makes one up. */
export function readCredentials(env: Environment): Credentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  return accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined;
}

export interface FunctionDescription {
  /** `http://127.0.0.1:3001/dev`: where the AWS SDK sends @connections calls, whatever endpoint AWS has. */
  readonly endpoint: string;
  readonly region: string;
  /** As on the command line, for `_HANDLER`. */
  readonly handler: string;
}

/** Sets what the Lambda runtime sets, as far as the environment does not say otherwise already. */
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

/** What is set already, and not to nothing, stays. */
export function setDefaults(env: Environment, defaults: Environment): void {
  for (const [name, value] of Object.entries(defaults)) env[name] ||= value;
}

const FUNCTION_NAME = "lift-ws-dev";

/** The SDK signs with anything, but not with nothing; DynamoDB Local takes letters and digits only. */
export const DUMMY_CREDENTIALS = { AWS_ACCESS_KEY_ID: "liftws", AWS_SECRET_ACCESS_KEY: "liftws" };

/**
 * Whether the AWS SDK will find credentials. In the environment they would go before a profile, so made-up ones
 * must not stand there when the handler was meant to use its owner's.
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

/** Many have a configuration file that says the region and no more. */
function grantsCredentials(path: string): boolean {
  try {
    const keys = /^\s*(aws_access_key_id|credential_process|login_session|role_arn|sso_\w+)\s*=/m;
    return keys.test(readFileSync(path, "utf8"));
  } catch {
    return false; // none, or not for us to read: the SDK can't either
  }
}
