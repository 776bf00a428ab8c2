import { useMemo } from "react";
import type { Client, ClientError, Json, UserPresence } from "../client/index.ts";
import { useClient } from "./context.ts";
import { Store, useStore } from "./store.ts";

/** The result of `useMembers`. */
export interface MembersState<State = Json> {
  /** The users in the channel, each once. */
  readonly users: readonly UserPresence<State>[];
  /** `loading` before the server's first response; `refused` when the server refuses the list, with `error`. */
  readonly status: "loading" | "live" | "refused";
  /** The reason for `refused`. */
  readonly error: ClientError | undefined;
}

/**
 * Returns the users in a channel, kept up to date while the component is mounted.
 * @example
 * const { users } = useMembers("room:lobby");
 */
export function useMembers(channel: string): MembersState {
  const client = useClient();
  return useStore(useMemo(() => new MembersStore(client, channel), [client, channel]));
}

const INITIAL: MembersState = { users: [], status: "loading", error: undefined };

class MembersStore extends Store<MembersState> {
  readonly #client: Client;
  readonly #channel: string;

  constructor(client: Client, channel: string) {
    super(INITIAL);
    this.#client = client;
    this.#channel = channel;
  }

  protected override start(life: AbortSignal): void {
    const update = (change: Partial<MembersState>) => {
      if (!life.aborted) this.update(change);
    };
    const refuse = (error: ClientError) => update({ status: "refused", error });
    try {
      const members = this.#client.members(this.#channel);
      const show = () => {
        update({ users: [...members], status: "live", error: undefined });
      };
      members.ready.then(show, refuse);
      members.onChange(() => {
        // Before the first response the list is incomplete.
        if (this.getSnapshot().status !== "loading") show();
      });
      life.addEventListener("abort", () => members.close());
    } catch (error) {
      refuse(error as ClientError);
    }
  }
}
