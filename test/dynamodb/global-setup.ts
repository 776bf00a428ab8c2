import type { TestProject } from "vitest/node";
import { startDynamoDBLocal } from "../../src/lambda-emulator/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** URL of Amazon's DynamoDB Local. */
    dynamoDBEndpoint: string;
  }
}

/** Starts one DynamoDB Local for the whole project. Each test creates its own tables. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { endpoint, stop } = await startDynamoDBLocal();
  project.provide("dynamoDBEndpoint", endpoint);
  return stop;
}
