import { findOptionFault, type OptionChecks } from "../../internal/options.ts";
import type { ConnectionStore } from "../contracts/connections.ts";
import { StoreError } from "../contracts/errors.ts";
import type { Schedule } from "../contracts/schedule.ts";
import type { TicketStore } from "../contracts/tickets.ts";
import { composeChannelStore, type DynamoDBChannelStore } from "./channels/channel-store.ts";
import { createRetryingClient } from "./client/retrying-client.ts";
import type { Transport } from "./client/transport.ts";
import { DynamoDBConnectionStore } from "./connections/connection-store.ts";
import {
  type CallOptions,
  CHANNEL_STORE_CHECKS,
  type ChannelOptions,
  CONNECTION_STORE_CHECKS,
  type StoreOptions,
  TABLE_CHECKS,
  type TableOptions,
} from "./options.ts";
import { DynamoDBSchedule } from "./schedule.ts";
import { DynamoDBTicketStore } from "./tickets.ts";

/**
 * A transport to DynamoDB and the checks of its options: the AWS SDK or signed HTTP. Each store has its own function
 * here, so that a bundle contains only the stores that it uses.
 */
export interface TransportSource<Options extends object> {
  readonly checks: OptionChecks<Options>;
  open(options: Pick<CallOptions, "region"> & Options): Transport;
}

/** @throws {StoreError} INVALID_OPTION */
export function createConnectionStore<Options extends object>(
  source: TransportSource<Options>,
  options: StoreOptions & Options,
): ConnectionStore {
  check(options, { ...CONNECTION_STORE_CHECKS, ...source.checks }, "tableName");
  return new DynamoDBConnectionStore(createRetryingClient(source.open(options), options), options);
}

/** @throws {StoreError} INVALID_OPTION */
export function createSchedule<Options extends object>(
  source: TransportSource<Options>,
  options: TableOptions & Options,
): Schedule {
  check(options, { ...TABLE_CHECKS, ...source.checks }, "tableName");
  return new DynamoDBSchedule(createRetryingClient(source.open(options), options));
}

/** @throws {StoreError} INVALID_OPTION */
export function createTicketStore<Options extends object>(
  source: TransportSource<Options>,
  options: TableOptions & Options,
): TicketStore {
  check(options, { ...TABLE_CHECKS, ...source.checks }, "tableName");
  return new DynamoDBTicketStore(createRetryingClient(source.open(options), options));
}

/** @throws {StoreError} INVALID_OPTION */
export function createChannelStore<Options extends object>(
  source: TransportSource<Options>,
  options: ChannelOptions & Options,
): DynamoDBChannelStore {
  check(options, { ...CHANNEL_STORE_CHECKS, ...source.checks }, "messageTableName", "memberTableName");
  return composeChannelStore(source.open(options), options);
}

/** The stores of a Streamer. */
export interface DynamoDBStores {
  /** Channels and, with a table for them, long requests. */
  readonly store: DynamoDBChannelStore;
  /** Connections. */
  readonly connectionStore: ConnectionStore;
  /** Work that is due later. */
  readonly schedule: Schedule;
}

/** @throws {StoreError} INVALID_OPTION */
export function createStores<Options extends object>(
  source: TransportSource<Options>,
  options: Options,
  environment: { readonly [name: string]: string | undefined },
): DynamoDBStores {
  const read = (name: string): string => {
    const value = environment[name];
    if (value) return value;
    throw new StoreError("INVALID_OPTION", `Set ${name} in the environment to the name of a table`);
  };
  const { REQUESTS_TABLE: requestTableName } = environment;
  return {
    store: createChannelStore(source, {
      ...options,
      messageTableName: read("MESSAGES_TABLE"),
      memberTableName: read("MEMBERS_TABLE"),
      ...(requestTableName && { requestTableName }),
    }),
    connectionStore: createConnectionStore(source, { ...options, tableName: read("CONNECTIONS_TABLE") }),
    schedule: createSchedule(source, { ...options, tableName: read("SCHEDULE_TABLE") }),
  };
}

function check<Options extends object>(
  options: Options,
  checks: OptionChecks<Options>,
  ...required: readonly string[]
): void {
  const fault = findOptionFault(options, checks, { required });
  if (fault !== undefined) throw new StoreError("INVALID_OPTION", fault);
}
