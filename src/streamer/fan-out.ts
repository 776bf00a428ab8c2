import type { ChannelStore, Member } from "../store/index.ts";
import type { Scope } from "./core.ts";

/** What a fan-out came to. */
export interface Reached {
  /** `false`: the time was over before everyone had been sent to. */
  readonly complete: boolean;
  /** Connections that are no more. */
  readonly gone: readonly string[];
}

/** A stored message's fan-out, which somebody else may go on with. */
export interface Progress {
  /** Where another has left it. */
  readonly from?: string | undefined;
  /** Everyone up to here has been sent to, and there are more. */
  reached(cursor: string): Promise<unknown>;
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
  async send(key: string, frame: string, scope: Scope, progress?: Progress): Promise<Reached> {
    const gone: string[] = [];
    for await (const { members, cursor } of this.#store.members.pages(key, this.#now(), progress?.from)) {
      for (const [endpoint, ids] of byEndpoint(members)) {
        const { results = [], remaining } = await scope.broadcast(endpoint, ids, frame);
        for (const { connectionId, outcome } of results) if (outcome === "gone") gone.push(connectionId);
        if (remaining !== undefined) return { complete: false, gone };
      }
      if (cursor !== undefined) await progress?.reached(cursor);
    }
    return { complete: true, gone };
  }
}

function byEndpoint(members: readonly Member[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { endpoint, connectionId } of members) {
    const group = groups.get(endpoint);
    if (group === undefined) groups.set(endpoint, [connectionId]);
    else group.push(connectionId);
  }
  return groups;
}
