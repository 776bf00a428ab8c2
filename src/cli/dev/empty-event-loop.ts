import { AsyncLocalStorage, createHook } from "node:async_hooks";

/** Resources that keep a process alive: timers, sockets, files, name look-ups, programs. */
const KEEPS_ALIVE = new Set([
  "FSREQCALLBACK",
  "FSREQPROMISE",
  "GETADDRINFOREQWRAP",
  "Immediate",
  "PIPEWRAP",
  "PROCESSWRAP",
  "TCPCONNECTWRAP",
  "TCPWRAP",
  "Timeout",
  "UDPWRAP",
  "WORKER",
]);

/** An idle socket of a pool stops to keep the process alive without an event that says so. */
const CHECK_MS = 5;

/** The pending work of one invocation: the event loop that it would have to itself in a Lambda. */
export class EventLoop {
  readonly #open = new Map<number, object>();

  /** Runs the invocation. */
  run<Result>(work: () => Result): Result {
    hook.enable();
    return running.run(this, work);
  }

  /** Calls `then` once nothing is under way any more. */
  whenEmpty(then: () => void): void {
    // Not of the invocation: it would wait for its own timer.
    running.exit(() => {
      const check = (): void => {
        if (this.#isEmpty()) then();
        else setTimeout(check, CHECK_MS);
      };
      setImmediate(check);
    });
  }

  add(id: number, resource: object): void {
    this.#open.set(id, resource);
    owners.set(id, this);
  }

  delete(id: number): void {
    this.#open.delete(id);
    owners.delete(id);
  }

  #isEmpty(): boolean {
    for (const resource of this.#open.values()) {
      const { hasRef } = resource as { hasRef?: () => boolean };
      if (hasRef === undefined || hasRef.call(resource)) return false;
    }
    return true;
  }
}

const running = new AsyncLocalStorage<EventLoop>();
const owners = new Map<number, EventLoop>();

const hook = createHook({
  init(id, type, _trigger, resource) {
    if (KEEPS_ALIVE.has(type)) running.getStore()?.add(id, resource);
  },
  destroy(id) {
    owners.get(id)?.delete(id);
  },
});
