import {
  isConnectEvent,
  isDisconnectEvent,
  type LambdaContext,
  type LambdaHandler,
  type WebSocketEvent,
} from "../../apigw/index.ts";
import type { ConnectionStore, Schedule } from "../../store/index.ts";

/**
 * Moves the rows of open connections to a reloaded app. The app's module creates its memory store, so each load has a new
 * one, but the sockets stay open.
 */
export class ReloadedConnections {
  readonly #open = new Set<string>();
  #store: ConnectionStore | undefined;

  /** Moves the rows to another store, if both are in memory. */
  moveTo(store: ConnectionStore | undefined): void {
    const from = this.#store;
    this.#store = store;
    for (const id of this.#open) this.#moveRow(id, from);
  }

  /** Wraps a handler to record which connections of a store are open. */
  watch(
    handler: (event: WebSocketEvent, context: LambdaContext) => unknown,
    store: ConnectionStore | undefined,
  ): LambdaHandler {
    return async (event, context) => {
      const { connectionId } = event.requestContext;
      // Do this before the handler deletes the row, so that a reload in between does not restore it.
      if (isDisconnectEvent(event)) this.#open.delete(connectionId);
      const result = await handler(event, context);
      if (isConnectEvent(event) && rowInMemory(store, connectionId) !== undefined) {
        this.#open.add(connectionId);
        // A reload during $connect has already moved the other rows.
        this.#moveRow(connectionId, store);
      }
      return result;
    };
  }

  #moveRow(id: string, from: ConnectionStore | undefined): void {
    const to = this.#store;
    const row = rowInMemory(from, id);
    if (row === undefined || to === from || to?.peek === undefined) return;
    // The row is lost when the store rejects it, as it would be without a move.
    to.save(row).catch(() => {});
  }
}

/** Reads a row of a memory store. Rows of other stores survive a reload anyway. */
function rowInMemory(store: ConnectionStore | undefined, id: string) {
  return store?.peek?.(id, Date.now());
}

/**
 * Moves scheduled items to a reloaded app. The app's module creates its memory schedule, so each load has a new one, but
 * the connections that the items belong to stay open.
 */
export class ReloadedSchedule {
  #previous: Schedule | undefined;
  #current: Schedule | undefined;

  /** Uses another schedule, and moves the items to it if both are in memory. */
  async moveTo(schedule: Schedule | undefined): Promise<void> {
    await this.moveItems();
    this.#previous = this.#current;
    this.#current = schedule;
    await this.moveItems();
  }

  /** Moves the items that running events of the previous app have scheduled since. */
  async moveItems(): Promise<void> {
    const [from, to] = [this.#previous, this.#current];
    // Items that are not in memory survive a reload anyway.
    if (from === to || from?.listAll === undefined || to?.listAll === undefined) return;
    for (const item of from.listAll()) {
      await to.put(item);
      await from.delete(item);
    }
  }
}
