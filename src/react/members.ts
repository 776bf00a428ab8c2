import { useMemo } from "react";
import type { Client, ClientError, Json, UserPresence } from "../client/index.ts";
import { useClient } from "./context.ts";
import { Store, useStore } from "./store.ts";

export interface MembersState<State = Json> {
  readonly users: readonly UserPresence<State>[];
  /** `loading` until the server has answered; `refused`: it does not tell, and `error` says why. */
  readonly status: "loading" | "live" | "refused";
  readonly error: ClientError | undefined;
}

/** Who is in a channel, while the component is mounted. */
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

  protected override begin(life: AbortSignal): void {
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
        // Who comes before the server has told of the others is not everybody.
        if (this.getSnapshot().status !== "loading") show();
      });
      life.addEventListener("abort", () => members.close());
    } catch (error) {
      refuse(error as ClientError);
    }
  }
}
