import type { ChannelStore } from "../../contracts/channels.ts";
import { callerOf } from "../client/connect.ts";
import type { Transport } from "../client/transport.ts";
import type { ChannelOptions } from "../options.ts";
import { DynamoDBChannelHistory } from "./history.ts";
import { DynamoDBChannelMembers } from "./members.ts";
import { DynamoDBMessageChunks } from "./message-chunks.ts";

/** What Streamer keeps of its channels, in two tables: one has a stream, the other's changes must not be in it. */
export interface DynamoDBChannelStore extends ChannelStore {
  readonly history: DynamoDBChannelHistory;
}

export function channelStoreOver(transport: Transport, options: ChannelOptions): DynamoDBChannelStore {
  const { messageTableName, memberTableName, membersPerPage = 500, now = Date.now, ...calls } = options;
  const callerFor = (tableName: string) => callerOf(transport, { ...calls, tableName });
  const memberCaller = callerFor(memberTableName);
  return {
    history: new DynamoDBChannelHistory(callerFor(messageTableName)),
    members: new DynamoDBChannelMembers(memberCaller, now, membersPerPage),
    chunks: new DynamoDBMessageChunks(memberCaller),
  };
}
