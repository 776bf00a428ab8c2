/** The action that a message on `$default` requests, in the application's own terms. */
export interface MessageAction {
  /** One of a small set, such as `publish`, because it becomes a metrics label. */
  readonly name: string;
  /** The namespaces that the action concerns, each once. They come from a small set as well. */
  readonly namespaces?: readonly string[];
}

/** Runs when an event turns out to be another action. */
export type ActionListener = () => Promise<void>;

/** The action of one event. It is read on first use. */
export class EventAction {
  readonly #read: () => MessageAction | undefined;
  readonly #listeners: ActionListener[] = [];
  /** `null` when the message names no action. */
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
