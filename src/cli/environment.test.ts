import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readCredentials, setLambdaEnvironment } from "./environment.ts";

const description = { endpoint: "http://127.0.0.1:3001/dev", region: "eu-west-1", handler: "app.mjs" };
let directory: string;
let noProfiles: NodeJS.ProcessEnv;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lift-ws-"));
  noProfiles = {
    AWS_SHARED_CREDENTIALS_FILE: join(directory, "credentials"),
    AWS_CONFIG_FILE: join(directory, "config"),
  };
});

afterEach(() => rmSync(directory, { recursive: true }));

function lambdaEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const all = { ...noProfiles, ...env };
  setLambdaEnvironment(all, description);
  return all;
}

describe("a handler's environment", () => {
  it("has Lambda's variables and the endpoint of @connections", () => {
    const env = lambdaEnvironment({});
    expect(env).toMatchObject({
      AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: "http://127.0.0.1:3001/dev",
      AWS_REGION: "eu-west-1",
      AWS_DEFAULT_REGION: "eu-west-1",
      AWS_EXECUTION_ENV: `AWS_Lambda_nodejs${process.versions.node.split(".")[0]}.x`,
      AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128",
      LAMBDA_TASK_ROOT: process.cwd(),
      TZ: ":UTC",
      _HANDLER: "app.mjs",
    });
    expect(env.AWS_LAMBDA_LOG_GROUP_NAME).toBe(`/aws/lambda/${env.AWS_LAMBDA_FUNCTION_NAME}`);
    expect(readCredentials(env)).toBeDefined();
  });

  it("keeps variables that are already set, except the endpoint", () => {
    const own = { AWS_REGION: "us-west-2", TZ: "Asia/Tokyo", AWS_LAMBDA_FUNCTION_NAME: "mine" };
    const endpoint = { AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: "https://elsewhere.example" };
    expect(lambdaEnvironment({ ...own, ...endpoint })).toMatchObject({
      ...own,
      AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI: description.endpoint,
    });
  });

  it("keeps the user's key pair", () => {
    const keys = { AWS_ACCESS_KEY_ID: "AKIAMINE", AWS_SECRET_ACCESS_KEY: "mine" };
    expect(lambdaEnvironment(keys)).toMatchObject(keys);
    expect(readCredentials(keys)).toEqual({ accessKeyId: "AKIAMINE", secretAccessKey: "mine" });
  });

  it("gets no dummy keys when it has a profile or a role", () => {
    for (const name of ["AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]) {
      expect(readCredentials(lambdaEnvironment({ [name]: "x" }))).toBeUndefined();
    }
  });

  it.each([
    ["credentials", "[default]\naws_access_key_id = AKIAX\n"],
    ["config", "[default]\nsso_session = mine\n"],
  ])("gets no dummy keys when %s has a default profile", (name, content) => {
    writeFileSync(join(directory, name), content);
    expect(readCredentials(lambdaEnvironment({}))).toBeUndefined();
  });

  it("gets dummy keys when the profile has only a region", () => {
    writeFileSync(join(directory, "config"), "[default]\nregion = eu-west-1\n");
    expect(readCredentials(lambdaEnvironment({}))).toBeDefined();
  });
});
