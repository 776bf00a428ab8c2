import type { ChannelStore } from "../../contracts/channels.ts";
import { createRetryingClient } from "../client/retrying-client.ts";
import type { Transport } from "../client/transport.ts";
import type { ChannelOptions } from "../options.ts";
import { DynamoDBChannelHistory } from "./history.ts";
import { DynamoDBChannelMembers } from "./members.ts";
import { DynamoDBMessageChunks } from "./message-chunks.ts";

/**
 * A channel store in two tables. The messages have their own table, because its stream must not contain changes of
 * members.
 */
export interface DynamoDBChannelStore extends ChannelStore {
  /** Stored messages. */
  readonly history: DynamoDBChannelHistory;
}

/** Composes a channel store from its history, members and message chunks. */
export function composeChannelStore(transport: Transport, options: ChannelOptions): DynamoDBChannelStore {
  const { messageTableName, memberTableName, membersPerPage = 500, now = Date.now, ...calls } = options;
  const createClient = (tableName: string) => createRetryingClient(transport, { ...calls, tableName });
  const memberClient = createClient(memberTableName);
  return {
    history: new DynamoDBChannelHistory(createClient(messageTableName)),
    members: new DynamoDBChannelMembers(memberClient, now, membersPerPage),
    chunks: new DynamoDBMessageChunks(memberClient),
  };
}
