import type { ChannelStore } from "../../contracts/channels.ts";
import { createRetryingClient } from "../client/retrying-client.ts";
import type { Transport } from "../client/transport.ts";
import type { ChannelOptions } from "../options.ts";
import { DynamoDBRequestStore } from "../requests/request-store.ts";
import { DynamoDBChannelHistory } from "./history.ts";
import { DynamoDBChannelMembers } from "./members.ts";
import { DynamoDBMessageChunks } from "./message-chunks.ts";

/**
 * A channel store in two tables, or three with long requests. The messages have their own table, because its stream must
 * not contain changes of members.
 */
export interface DynamoDBChannelStore extends ChannelStore {
  /** Stored messages. */
  readonly history: DynamoDBChannelHistory;
  /** Long requests; only with `requestTableName`. */
  readonly requests?: DynamoDBRequestStore;
}

/** Composes a channel store from its history, members and message chunks. */
export function composeChannelStore(transport: Transport, options: ChannelOptions): DynamoDBChannelStore {
  const { messageTableName, memberTableName, requestTableName, ...others } = options;
  const { membersPerPage = 500, now = Date.now, ...calls } = others;
  const createClient = (tableName: string) => createRetryingClient(transport, { ...calls, tableName });
  const memberClient = createClient(memberTableName);
  return {
    history: new DynamoDBChannelHistory(createClient(messageTableName)),
    members: new DynamoDBChannelMembers(memberClient, now, membersPerPage),
    chunks: new DynamoDBMessageChunks(memberClient),
    ...(requestTableName && { requests: new DynamoDBRequestStore(createClient(requestTableName), now) }),
  };
}
