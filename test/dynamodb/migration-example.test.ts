// The three ways of examples/migration on DynamoDB Local, with the stream of the requests' table.
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, inject, onTestFinished, vi } from "vitest";
import { itBehaves } from "../../examples/migration/behaviour.ts";
import { byHand, lift, oldPattern, type Side } from "../support/migration-sides.ts";
import { localClient } from "./connection-table.ts";
import { type Fault, failFirstAttempts, injectFaults, THROTTLED } from "./request-faults.ts";

const ATTEMPTS = 5;

/** @connections signs with the credentials of the environment, as in Lambda. */
const CREDENTIALS = { AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local", AWS_REGION: "us-east-1" };

describe.each([
  ["by hand", byHand],
  ["old pattern", oldPattern],
  ["Lift", lift],
])("%s", (_name, create) => {
  let side: Side;
  let choose: Parameters<typeof injectFaults>[1] = (): Fault | undefined => undefined;

  beforeAll(async () => {
    for (const [name, value] of Object.entries(CREDENTIALS)) vi.stubEnv(name, value);
    const client: DynamoDBClient = localClient(ATTEMPTS);
    injectFaults(client, (request) => choose(request));
    side = await create({ client, dynamoDB: inject("dynamoDBEndpoint") });
  });

  afterAll(() => void vi.unstubAllEnvs());

  itBehaves(() => side, {
    throttleTable: () => {
      choose = failFirstAttempts(THROTTLED);
      onTestFinished(() => {
        choose = () => undefined;
      });
    },
  });
});
