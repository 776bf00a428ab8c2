import type { Position } from "../../src/protocol/index.ts";
import type { NamespaceRules, Place, Sighting } from "./log.ts";

interface Known {
  readonly uid: string;
  /** As the server says; `undefined`: only its acknowledgement was seen. */
  at: number | undefined;
  /** When it was seen first. */
  readonly seen: number;
}

interface Epoch {
  readonly name: string;
  /** Of the server's process in which it was seen first. */
  readonly life: number;
  readonly messages: Map<number, Known>;
  /** The largest offset that anybody was told of. */
  head: number;
}

interface Channel {
  readonly rules: NamespaceRules;
  readonly epochs: Map<string, Epoch>;
  latest: Epoch | undefined;
}

/** Two clocks are compared, and a store may round. */
const TOLERANCE_MS = 100;

/** What the channels' histories must have been, put together from everything that anybody was told of them. */
export class Histories {
  readonly #durable: boolean;
  readonly #namespaces: { readonly [name: string]: NamespaceRules };
  readonly #channels = new Map<string, Channel>();
  /** By publication: where it is stored. */
  readonly #stored = new Map<string, Position>();
  #life = 0;

  constructor(durable: boolean, namespaces: { readonly [name: string]: NamespaceRules }) {
    this.#durable = durable;
    this.#namespaces = namespaces;
  }

  started(): void {
    this.#life++;
  }

  /** Somebody was told of a message. @returns what is wrong with that */
  *saw(place: Place, { uid, position }: Pick<Sighting, "uid" | "position">, seen: number, at?: number) {
    yield* this.sawHead(place, position);
    const epoch = this.#channel(place).epochs.get(position.epoch)!;
    const known = epoch.messages.get(position.offset);
    if (known === undefined) epoch.messages.set(position.offset, { uid, at, seen });
    else if (known.uid !== uid)
      yield `${nameOf(place)} has both ${known.uid} and ${uid} at ${show(position)}`;
    else known.at ??= at;
    yield* this.#once(uid, position);
  }

  /** Somebody was told that a channel's last message is there. */
  *sawHead(place: Place, { epoch: name, offset }: Position) {
    const channel = this.#channel(place);
    let epoch = channel.epochs.get(name);
    if (epoch === undefined) {
      epoch = { name, life: this.#life, messages: new Map(), head: 0 };
      const before = channel.latest;
      if (before !== undefined && (this.#durable || before.life === this.#life)) {
        yield `${nameOf(place)} has begun epoch ${name} after ${before.name}, and nothing was lost`;
      }
      channel.epochs.set(name, epoch);
      channel.latest = epoch;
    }
    epoch.head = Math.max(epoch.head, offset);
  }

  /** Where a channel is in the end. */
  head(place: Place): Position | undefined {
    const { latest } = this.#channel(place);
    return latest && { epoch: latest.name, offset: latest.head };
  }

  isStored(uid: string): boolean {
    return this.#stored.has(uid);
  }

  /**
   * Whether history reached back to a position when the channel was at `head`, by `t` at the latest: then what
   * follows the position was not lost. `undefined`: how old that is, nobody has told yet.
   */
  reached(place: Place, after: Position, head: Position, t: number): boolean | undefined {
    const { rules, epochs } = this.#channel(place);
    const own = epochs.get(after.epoch);
    if (after.epoch !== head.epoch) {
      const later = epochs.get(head.epoch);
      return this.#durable || own === undefined || later === undefined || later.life <= own.life;
    }
    if (after.offset >= head.offset) return true;
    if (after.offset + 1 <= head.offset - rules.size) return false;
    const at = own?.messages.get(after.offset + 1)?.at;
    return at === undefined ? undefined : t - at < rules.ageMs;
  }

  /** Whether what follows a position was certainly past its history at `t` already. */
  wasPast(place: Place, after: Position, t: number): boolean {
    const { rules, epochs } = this.#channel(place);
    const epoch = epochs.get(after.epoch);
    if (epoch === undefined) return false;
    let head = epoch.head;
    while (head > after.offset && (epoch.messages.get(head)?.seen ?? t) >= t) head--;
    if (head === after.offset) return false;
    if (after.offset + 1 <= head - rules.size) return true;
    // A message that a slow clock made older than the one before it stays as long as that one.
    const ages = [after.offset, after.offset + 1].map((offset) => epoch.messages.get(offset)?.at);
    return ages.every((at) => at !== undefined && t - at >= rules.ageMs + TOLERANCE_MS);
  }

  *#once(uid: string, position: Position) {
    const before = this.#stored.get(uid);
    this.#stored.set(uid, position);
    if (before === undefined || (before.epoch === position.epoch && before.offset === position.offset))
      return;
    // A key is forgotten with the history that it was in.
    if (!this.#durable && before.epoch !== position.epoch) return;
    yield `${uid} is stored twice: at ${show(before)} and at ${show(position)}`;
  }

  #channel(place: Place): Channel {
    const name = nameOf(place);
    const found = this.#channels.get(name);
    if (found !== undefined) return found;
    const rules = this.#namespaces[place.channel.slice(0, place.channel.indexOf(":"))];
    if (rules === undefined) throw new Error(`The log has no rules for ${place.channel}`);
    const channel = { rules, epochs: new Map(), latest: undefined };
    this.#channels.set(name, channel);
    return channel;
  }
}

export function nameOf({ tenant, channel }: Place): string {
  return `${tenant}/${channel}`;
}

export function show(position: Position | undefined): string {
  return position === undefined ? "nowhere" : `${position.epoch}/${position.offset}`;
}
