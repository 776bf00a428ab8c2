import {
  isConnectEvent,
  isDisconnectEvent,
  type LambdaContext,
  type LambdaHandler,
  type WebSocketEvent,
} from "../../apigw/index.ts";
import type { ConnectionStore, Schedule } from "../../store/index.ts";

/**
 * Brings the rows of open connections from one load of an app to the next. A store in this process's memory is
 * made by the app's module, so each load makes another; the sockets stay.
 */
export class ReloadedConnections {
  readonly #open = new Set<string>();
  #store: ConnectionStore | undefined;

  /** From here on the rows are in `store`. */
  moveTo(store: ConnectionStore | undefined): void {
    const from = this.#store;
    this.#store = store;
    for (const id of this.#open) this.#carry(id, from);
  }

  /** `handler`, which keeps its rows in `store`, with an eye on which connections come and go. */
  watch(
    handler: (event: WebSocketEvent, context: LambdaContext) => unknown,
    store: ConnectionStore | undefined,
  ): LambdaHandler {
    return async (event, context) => {
      const { connectionId } = event.requestContext;
      // Before the handler deletes the row: a reload between the two must not bring it back.
      if (isDisconnectEvent(event)) this.#open.delete(connectionId);
      const result = await handler(event, context);
      if (isConnectEvent(event) && rowInMemory(store, connectionId) !== undefined) {
        this.#open.add(connectionId);
        // A reload while it ran has moved the rows already.
        this.#carry(connectionId, store);
      }
      return result;
    };
  }

  #carry(id: string, from: ConnectionStore | undefined): void {
    const to = this.#store;
    const row = rowInMemory(from, id);
    if (row === undefined || to === from || to?.peek === undefined) return;
    // A row that the store refuses is lost, as it would be without this.
    to.save(row).catch(() => {});
  }
}

/** Whatever other stores hold outlives a reload by itself. */
function rowInMemory(store: ConnectionStore | undefined, id: string) {
  return store?.peek?.(id, Date.now());
}

/**
 * Brings what is scheduled from one load of an app to the next. A schedule in this process's memory is made by the
 * app's module, so each load makes another; the connections that it is to end stay.
 */
export class ReloadedSchedule {
  #before: Schedule | undefined;
  #current: Schedule | undefined;

  /** From here on it is `schedule`. */
  async moveTo(schedule: Schedule | undefined): Promise<void> {
    await this.moveItems();
    this.#before = this.#current;
    this.#current = schedule;
    await this.moveItems();
  }

  /** Again, for what events that began on the load before have scheduled since. */
  async moveItems(): Promise<void> {
    const [from, to] = [this.#before, this.#current];
    // What is not in memory outlives a reload by itself.
    if (from === to || from?.listAll === undefined || to?.listAll === undefined) return;
    for (const item of from.listAll()) {
      await to.put(item);
      await from.delete(item);
    }
  }
}
