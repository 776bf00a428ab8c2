import type { AnyContext } from "./context.ts";

/** The work that a message of `$default` asks for, in the words of the application. */
export interface MessageAction {
  /** One of a small set, such as `publish`: it becomes a label of metrics. */
  readonly name: string;
  /** The namespaces that it is about, each once; of a small set as well. */
  readonly namespaces?: readonly string[];
}

/** For an application that tells the messages of `$default` apart by itself. */
export interface Actions {
  /** All names, and `name:namespace` where there are namespaces: the keys that a limit may have. */
  readonly names: readonly string[];
  /** Reads the action from an unchecked message. `undefined`, or an error, says that it names none. */
  read(ctx: AnyContext): MessageAction | undefined;
}

/** Runs when an event turns out to be another action. */
export type ActionListener = () => Promise<void>;

/** The action of one event, read when it is first asked for. */
export class EventAction {
  readonly #read: () => MessageAction | undefined;
  readonly #listeners: ActionListener[] = [];
  #action: MessageAction | null | undefined;

  constructor(read: () => MessageAction | undefined) {
    this.#read = read;
  }

  get current(): MessageAction | undefined {
    if (this.#action === undefined) {
      try {
        this.#action = this.#read() ?? null;
      } catch {
        this.#action = null;
      }
    }
    return this.#action ?? undefined;
  }

  onChange(listener: ActionListener): void {
    this.#listeners.push(listener);
  }

  async change(action: MessageAction): Promise<void> {
    this.#action = action;
    for (const listener of this.#listeners) await listener();
  }
}
