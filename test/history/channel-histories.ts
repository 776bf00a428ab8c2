import type { Position } from "../../src/protocol/index.ts";
import type { NamespaceRules, SeenMessage, TenantChannel } from "./log.ts";

interface KnownMessage {
  readonly uid: string;
  /** The server's timestamp. `undefined` when only the acknowledgement was seen. */
  at: number | undefined;
  /** Time at which it was seen first. */
  readonly seen: number;
}

interface Epoch {
  readonly name: string;
  /** Number of the server process in which it was seen first. */
  readonly processNumber: number;
  readonly messages: Map<number, KnownMessage>;
  /** The largest offset that any client received. */
  head: number;
}

interface Channel {
  readonly rules: NamespaceRules;
  readonly epochs: Map<string, Epoch>;
  latest: Epoch | undefined;
}

/** Two clocks are compared, and a store may round. */
const TOLERANCE_MS = 100;

/** Reconstructs the histories of the channels from everything that clients received. */
export class ChannelHistories {
  readonly #durable: boolean;
  readonly #namespaces: { readonly [name: string]: NamespaceRules };
  readonly #channels = new Map<string, Channel>();
  /** Stored position of each publication. */
  readonly #stored = new Map<string, Position>();
  #processNumber = 0;

  constructor(durable: boolean, namespaces: { readonly [name: string]: NamespaceRules }) {
    this.#durable = durable;
    this.#namespaces = namespaces;
  }

  started(): void {
    this.#processNumber++;
  }

  /** Records a message that a client received. @returns violations */
  *saw(
    target: TenantChannel,
    { uid, position }: Pick<SeenMessage, "uid" | "position">,
    seen: number,
    at?: number,
  ) {
    yield* this.sawHead(target, position);
    const epoch = this.#channel(target).epochs.get(position.epoch)!;
    const known = epoch.messages.get(position.offset);
    if (known === undefined) epoch.messages.set(position.offset, { uid, at, seen });
    else if (known.uid !== uid)
      yield `${channelName(target)} has both ${known.uid} and ${uid} at ${formatPosition(position)}`;
    else known.at ??= at;
    yield* this.#once(uid, position);
  }

  /** Records the position of a channel's last message. @returns violations */
  *sawHead(target: TenantChannel, { epoch: name, offset }: Position) {
    const channel = this.#channel(target);
    let epoch = channel.epochs.get(name);
    if (epoch === undefined) {
      epoch = { name, processNumber: this.#processNumber, messages: new Map(), head: 0 };
      const before = channel.latest;
      if (before !== undefined && (this.#durable || before.processNumber === this.#processNumber)) {
        yield `${channelName(target)} started epoch ${name} after ${before.name} without a loss`;
      }
      channel.epochs.set(name, epoch);
      channel.latest = epoch;
    }
    epoch.head = Math.max(epoch.head, offset);
  }

  /** Last known position of a channel. */
  head(target: TenantChannel): Position | undefined {
    const { latest } = this.#channel(target);
    return latest && { epoch: latest.name, offset: latest.head };
  }

  isStored(uid: string): boolean {
    return this.#stored.has(uid);
  }

  /**
   * Whether history covered the messages after a position when the channel was at `head`, at time `t` or before.
   * `undefined` when the age of the first of them is unknown.
   */
  covered(target: TenantChannel, after: Position, head: Position, t: number): boolean | undefined {
    const { rules, epochs } = this.#channel(target);
    const own = epochs.get(after.epoch);
    if (after.epoch !== head.epoch) {
      const later = epochs.get(head.epoch);
      return (
        this.#durable || own === undefined || later === undefined || later.processNumber <= own.processNumber
      );
    }
    if (after.offset >= head.offset) return true;
    if (after.offset + 1 <= head.offset - rules.size) return false;
    const at = own?.messages.get(after.offset + 1)?.at;
    return at === undefined ? undefined : t - at < rules.ageMs;
  }

  /** Whether the message after a position had certainly left the history at `t`. */
  wasPast(target: TenantChannel, after: Position, t: number): boolean {
    const { rules, epochs } = this.#channel(target);
    const epoch = epochs.get(after.epoch);
    if (epoch === undefined) return false;
    let head = epoch.head;
    while (head > after.offset && (epoch.messages.get(head)?.seen ?? t) >= t) head--;
    if (head === after.offset) return false;
    if (after.offset + 1 <= head - rules.size) return true;
    // A message with an older timestamp than the message before it stays as long as that one. A store may count the age from
    // its own write, which ends before somebody sees the message, but on a busy machine long after the timestamp.
    const messages = [after.offset, after.offset + 1].map((offset) => epoch.messages.get(offset));
    return messages.every(
      (message) =>
        message?.at !== undefined && t - Math.max(message.at, message.seen) >= rules.ageMs + TOLERANCE_MS,
    );
  }

  *#once(uid: string, position: Position) {
    const before = this.#stored.get(uid);
    this.#stored.set(uid, position);
    if (before === undefined || (before.epoch === position.epoch && before.offset === position.offset))
      return;
    // Idempotency keys are lost together with the history.
    if (!this.#durable && before.epoch !== position.epoch) return;
    yield `${uid} is stored twice: at ${formatPosition(before)} and at ${formatPosition(position)}`;
  }

  #channel(target: TenantChannel): Channel {
    const name = channelName(target);
    const found = this.#channels.get(name);
    if (found !== undefined) return found;
    const rules = this.#namespaces[target.channel.slice(0, target.channel.indexOf(":"))];
    if (rules === undefined) throw new Error(`The log has no rules for ${target.channel}`);
    const channel = { rules, epochs: new Map(), latest: undefined };
    this.#channels.set(name, channel);
    return channel;
  }
}

export function channelName({ tenant, channel }: TenantChannel): string {
  return `${tenant}/${channel}`;
}

export function formatPosition(position: Position | undefined): string {
  return position === undefined ? "nowhere" : `${position.epoch}/${position.offset}`;
}
