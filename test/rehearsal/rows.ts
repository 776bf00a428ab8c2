/** Writes rows through a dual-write store under cut-over and cut-back, and compares both stores afterwards. */
import { randomUUID } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { startDynamoDBLocal } from "../../src/lambda-emulator/index.ts";
import { dualWriteStore } from "../../src/rollout/index.ts";
import { createTables, dynamoDBConnectionStore } from "../../src/store/dynamodb/index.ts";
import type { Connection, ConnectionStore } from "../../src/store/index.ts";
import { memoryConnectionStore } from "../../src/store/memory/index.ts";

export interface RowsResult {
  readonly name: string;
  readonly written: number;
  readonly swaps: number;
  /** Rows that either store has lost, kept after their deletion, or has with another value. */
  readonly wrong: number;
}

type Progress = (line: string) => void;

const MEMORY_ROWS = 1_000_000;
const DYNAMODB_ROWS = 20_000;
const WRITERS = { memory: 64, dynamodb: 32 };
const SWAPS = 6;
/** Rows between two turns of the event loop. */
const TURN_ROWS = 1_000;
const ROW_MS = 24 * 3_600_000;

export async function rehearseRowsInMemory(progress: Progress): Promise<RowsResult> {
  const stores = [memoryConnectionStore(), memoryConnectionStore()] as const;
  return rehearse("memory", MEMORY_ROWS, WRITERS.memory, stores, progress);
}

export async function rehearseRowsOnDynamoDB(progress: Progress): Promise<RowsResult> {
  const local = await startDynamoDBLocal();
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  const client = new DynamoDBClient({ endpoint: local.endpoint, region: "us-east-1", credentials });
  try {
    const open = async () => {
      const tableName = `connections-${randomUUID()}`;
      await createTables({ client, tableName });
      return dynamoDBConnectionStore({ client, tableName });
    };
    const stores = [await open(), await open()] as const;
    return await rehearse("DynamoDB Local", DYNAMODB_ROWS, WRITERS.dynamodb, stores, progress);
  } finally {
    client.destroy();
    await local.stop();
  }
}

async function rehearse(
  name: string,
  rows: number,
  writers: number,
  [oldStore, newStore]: readonly [ConnectionStore, ConnectionStore],
  progress: Progress,
): Promise<RowsResult> {
  const store = dualWriteStore(oldStore, newStore, { compare: false, maxPending: 2 * writers * rows });
  let next = 0;
  let swaps = 0;
  await inParallel(writers, async () => {
    for (let n = next++; n < rows; n = next++) {
      if (n % Math.ceil(rows / (SWAPS + 1)) === 0 && n > 0) {
        await store.swapRoles();
        progress(`${name}: ${n.toLocaleString("en")} rows, ${++swaps % 2 === 1 ? "cut over" : "cut back"}`);
      }
      // Stores in memory leave no time for signals.
      if (n % TURN_ROWS === 0) await turn();
      await store.save(rowOf(n));
      if (isUpdated(n)) await store.setState(idOf(n), { n });
      if (isDeleted(n)) await store.delete(idOf(n));
    }
  });
  await store.settled();
  progress(`${name}: comparing ${rows.toLocaleString("en")} rows in both stores`);
  let wrong = 0;
  next = 0;
  await inParallel(writers, async () => {
    for (let n = next++; n < rows; n = next++) {
      if (n % TURN_ROWS === 0) await turn();
      for (const each of [oldStore, newStore]) if (!isRight(n, await each.get(idOf(n)))) wrong++;
    }
  });
  return { name, written: rows, swaps, wrong };
}

function isUpdated(n: number): boolean {
  return n % 3 === 0;
}

function isDeleted(n: number): boolean {
  return n % 7 === 0;
}

function idOf(n: number): string {
  return `row-${n}`;
}

function rowOf(n: number): Connection {
  const now = Date.now();
  return {
    id: idOf(n),
    userId: `user-${n % 1_000}`,
    metadata: { n },
    state: {},
    sourceIp: "127.0.0.1",
    endpoint: "https://example.com/prod",
    connectedAt: now,
    expiresAt: now + ROW_MS,
  };
}

function isRight(n: number, row: Connection | undefined): boolean {
  if (isDeleted(n)) return row === undefined;
  return row?.metadata.n === n && row.state.n === (isUpdated(n) ? n : undefined);
}

async function inParallel(count: number, work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, work));
}
