import type { ChannelMembers, Member } from "../../store/index.ts";
import type { CallContext } from "../call-context.ts";

export interface FanOutResult {
  /** `false`: time ran out before the message was sent to every member. */
  readonly complete: boolean;
  /** IDs of members whose connections have ended. */
  readonly gone: readonly string[];
}

/**
 * How far this process's clock may be ahead, in ms. Members that expired within this time still receive messages: a
 * connection that has ended answers 410, but a live one that is left out misses the message.
 */
const MAX_CLOCK_LEAD_MS = 60 * 60_000;

interface FanOutSendOptions {
  /** Continues after this page of members. Default: begins with the first page. */
  readonly cursor?: string | undefined;
  /** Called after each page except the last, with the cursor from which another process can continue. */
  readonly onPage?: (cursor: string) => Promise<unknown>;
  /** The ID of a connection that does not receive the message. */
  readonly others?: string | undefined;
}

/** Sends a message to the members of a channel, page by page. */
export class FanOut {
  readonly #members: ChannelMembers;
  readonly #now: () => number;

  constructor(members: ChannelMembers, now: () => number) {
    this.#members = members;
    this.#now = now;
  }

  /**
   * A member that does not receive the message does not stop the others. It notices the gap by the next message's
   * position, or by its next heartbeat.
   */
  async send(
    key: string,
    frame: string,
    context: CallContext,
    { cursor: start, onPage, others }: FanOutSendOptions = {},
  ): Promise<FanOutResult> {
    const gone: string[] = [];
    const now = this.#now() - MAX_CLOCK_LEAD_MS;
    for await (const { members, cursor } of this.#members.listMembers(key, now, start)) {
      for (const [endpoint, ids] of groupByEndpoint(members, others)) {
        const { results = [], remaining } = await context.broadcast(endpoint, ids, frame);
        for (const { connectionId, outcome } of results) if (outcome === "gone") gone.push(connectionId);
        if (remaining !== undefined) return { complete: false, gone };
      }
      if (cursor !== undefined) await onPage?.(cursor);
    }
    return { complete: true, gone };
  }
}

function groupByEndpoint(members: readonly Member[], excludedId: string | undefined): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { endpoint, connectionId } of members) {
    if (connectionId === excludedId) continue;
    const group = groups.get(endpoint);
    if (group === undefined) groups.set(endpoint, [connectionId]);
    else group.push(connectionId);
  }
  return groups;
}
