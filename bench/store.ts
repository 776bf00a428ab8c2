/** Measures connects, state updates and lists of 10,000 connections in memory and on DynamoDB Local, with their units. */
import { randomUUID } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { UNITS } from "../src/cli/cost/units.ts";
import { startDynamoDBLocal } from "../src/lambda-emulator/index.ts";
import { createTables, dynamoDBConnectionStore } from "../src/store/dynamodb/index.ts";
import type { Connection, ConnectionStore } from "../src/store/index.ts";
import { memoryConnectionStore } from "../src/store/memory/index.ts";
import { inParallel } from "./lib/in-parallel.ts";
import { atMost, type Findings, none, type Row } from "./lib/report.ts";
import { median } from "./lib/stats.ts";

const CONNECTIONS = 10_000;
/** Calls in flight: the SDK's default number of sockets. */
const AT_ONCE = 50;
const UPDATES = 1_000;
const TENANT = "tenant-1";

/** Units of one operation. Those of a list are per thousand rows. */
const DOCUMENTED = {
  connect: UNITS.events.connect,
  "state update": UNITS.events.setState,
  list: UNITS.lists.listByTenant,
} as const;

type Operation = keyof typeof DOCUMENTED;

interface Side {
  readonly name: string;
  readonly store: ConnectionStore;
  /** Units since the last call. */
  readonly units: () => { readonly reads: number; readonly writes: number };
}

interface Sample {
  /** µs per operation under concurrency; for a list, per row. */
  readonly us: number;
  readonly reads: number;
  readonly writes: number;
}

export async function store(runs: number, progress: (line: string) => void): Promise<Findings> {
  const engine = await startDynamoDBLocal();
  const samples = new Map<string, Map<Operation, Sample[]>>();
  let missed = 0;
  try {
    for (let run = 1; run <= runs; run++) {
      progress(`store: round ${run} of ${runs}`);
      for (const side of [memory(), await dynamoDB(engine.endpoint)]) {
        const { found, listed } = await round(side);
        missed += CONNECTIONS - listed;
        const all = samples.get(side.name) ?? new Map<Operation, Sample[]>();
        for (const [operation, sample] of found) all.set(operation, [...(all.get(operation) ?? []), sample]);
        samples.set(side.name, all);
      }
    }
  } finally {
    await engine.stop();
  }
  return evaluate(samples, missed, runs);
}

function memory(): Side {
  return { name: "memory", store: memoryConnectionStore(), units: () => ({ reads: 0, writes: 0 }) };
}

async function dynamoDB(endpoint: string): Promise<Side> {
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  const client = new DynamoDBClient({ endpoint, region: "us-east-1", credentials, maxAttempts: 1 });
  const tableName = `bench-${randomUUID()}`;
  await createTables({ client, tableName });
  let [reads, writes] = [0, 0];
  const store = dynamoDBConnectionStore({
    tableName,
    client,
    timeoutMs: 60_000,
    enableMetrics: (measure) => {
      reads += measure.readUnits;
      writes += measure.writeUnits;
    },
  });
  const units = () => {
    const consumed = { reads, writes };
    [reads, writes] = [0, 0];
    return consumed;
  };
  return { name: "DynamoDB Local", store, units };
}

async function round(side: Side): Promise<{ found: Map<Operation, Sample>; listed: number }> {
  const { store, units } = side;
  const ids = Array.from({ length: CONNECTIONS }, (_, n) => `L0SM9cOFvH${String(n).padStart(5, "0")}=`);
  const found = new Map<Operation, Sample>();
  const measure = async (
    operation: Operation,
    divisor: number,
    unitsOf: number,
    work: () => Promise<unknown>,
  ) => {
    units();
    const started = performance.now();
    await work();
    const us = (1_000 * (performance.now() - started)) / divisor;
    const { reads, writes } = units();
    found.set(operation, { us, reads: reads / unitsOf, writes: writes / unitsOf });
  };
  await measure("connect", CONNECTIONS, CONNECTIONS, () =>
    inParallel(ids, AT_ONCE, (id) => store.save(row(id))),
  );
  const some = ids.slice(0, UPDATES);
  await measure("state update", UPDATES, UPDATES, () =>
    inParallel(some, AT_ONCE, (id) => store.setState(id, { room: "r1" })),
  );
  let listed = 0;
  await measure("list", CONNECTIONS, CONNECTIONS / 1_000, async () => {
    for await (const _ of store.listByTenant(TENANT)) listed++;
  });
  return { found, listed };
}

/** A row of the size that the documented units refer to. */
function row(id: string): Connection {
  const connectedAt = Date.now();
  return {
    id,
    userId: "user-1",
    tenantId: TENANT,
    metadata: {},
    state: {},
    sourceIp: "192.0.2.1",
    endpoint: "https://api.example.com/test",
    connectedAt,
    expiresAt: connectedAt + 7_800_000,
  };
}

function evaluate(samples: Map<string, Map<Operation, Sample[]>>, missed: number, runs: number): Findings {
  const of = (side: string, operation: Operation, field: keyof Sample) =>
    median((samples.get(side)?.get(operation) ?? []).map((sample) => sample[field]));
  const operations = Object.keys(DOCUMENTED) as Operation[];
  const rows = [...samples.keys()].flatMap((side) =>
    operations.map(
      (operation): Row => ({
        side,
        operation: operation === "list" ? "list, per row" : operation,
        µs: of(side, operation, "us"),
        "per second": 1e6 / of(side, operation, "us"),
        "read units": of(side, operation, "reads"),
        "write units": of(side, operation, "writes"),
      }),
    ),
  );
  const local = "DynamoDB Local";
  return {
    measure: "store",
    runs,
    rows,
    targets: [
      ...operations.flatMap((operation) => [
        atMost(`read units of a ${operation}`, DOCUMENTED[operation].reads, of(local, operation, "reads")),
        atMost(`write units of a ${operation}`, DOCUMENTED[operation].writes, of(local, operation, "writes")),
      ]),
      none("connections that a list missed", missed),
    ],
    notes: [
      `${CONNECTIONS} connections of one user and tenant, ${UPDATES} state updates, one list of all, ${AT_ONCE} calls in flight.`,
      "DynamoDB reports the units. Those of a list are per thousand rows, as in docs/operations/dynamodb-costs.md.",
      "Times on DynamoDB Local are those of a Java emulator on this machine, not of the service.",
    ],
  };
}
