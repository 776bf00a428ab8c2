import type { TestProject } from "vitest/node";
import { startDynamoDBLocal } from "../../src/lambda-emulator/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where Amazon's DynamoDB Local answers. */
    dynamoDBEndpoint: string;
  }
}

/** One DynamoDB Local for all tests of the project; each test makes tables of its own in it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { endpoint, stop } = await startDynamoDBLocal();
  project.provide("dynamoDBEndpoint", endpoint);
  return stop;
}
