import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { Step } from "../support/interleaving.ts";

/** Runs every request of a client as a step. */
export function withSteps(client: DynamoDBClient, step: Step): DynamoDBClient {
  client.middlewareStack.add((next) => (args) => step(() => next(args)), { step: "initialize" });
  return client;
}
