import type { ChannelStore, Member } from "../../store/index.ts";
import type { Scope } from "../core.ts";

/** What a fan-out came to. */
export interface Reached {
  /** `false`: the time was over before everyone had been sent to. */
  readonly complete: boolean;
  /** Connections that are no more. */
  readonly gone: readonly string[];
}

export interface SendOptions {
  /** Where another has left it. */
  readonly from?: string | undefined;
  /** Told that everyone up to here has been sent to, and there are more: for somebody else to go on with. */
  readonly reached?: (cursor: string) => Promise<unknown>;
  /** The connection that is not sent to. */
  readonly except?: string | undefined;
}

/** Sends to the members of a channel, page by page. */
export class FanOut {
  readonly #store: ChannelStore;
  readonly #now: () => number;

  constructor(store: ChannelStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** One recipient's failure is no other's: who was not reached finds out by the next position, or a heartbeat. */
  async send(
    key: string,
    frame: string,
    scope: Scope,
    { from, reached, except }: SendOptions = {},
  ): Promise<Reached> {
    const gone: string[] = [];
    for await (const { members, cursor } of this.#store.members.listMembers(key, this.#now(), from)) {
      for (const [endpoint, ids] of byEndpoint(members, except)) {
        const { results = [], remaining } = await scope.broadcast(endpoint, ids, frame);
        for (const { connectionId, outcome } of results) if (outcome === "gone") gone.push(connectionId);
        if (remaining !== undefined) return { complete: false, gone };
      }
      if (cursor !== undefined) await reached?.(cursor);
    }
    return { complete: true, gone };
  }
}

function byEndpoint(members: readonly Member[], except: string | undefined): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { endpoint, connectionId } of members) {
    if (connectionId === except) continue;
    const group = groups.get(endpoint);
    if (group === undefined) groups.set(endpoint, [connectionId]);
    else group.push(connectionId);
  }
  return groups;
}
