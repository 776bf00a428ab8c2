// One room: its messages, its members, and the user's own lines.

import type { ChannelMessage, Client, ClientError, Members, Position } from "lift-ws/client";
import { type Line, Log, lineOf } from "./log.ts";
import { kept } from "./outbox.ts";
import { inWords } from "./view.js";

const PAGE = 50;
/** The number of lines to keep. Older ones are loaded from the history. */
const KEPT = 500;
const TYPING_MS = 3_000;
/** Long enough for many reconnects. */
const PATIENCE_MS = 3_600_000;

/** The presence state of a user in a room. */
export type Shown = { typing?: boolean };

interface Away {
  readonly since: number;
  /** The offset of the last line. */
  readonly last: Position | undefined;
  missed: number;
}

export class Room {
  readonly name: string;
  readonly channel: string;
  readonly log: Log;
  readonly members: Members;
  /** Whether there may be earlier lines. */
  more = true;
  readonly #client: Client;
  readonly #you: string;
  readonly #changed: (room: Room) => void;
  readonly #readKey: string;
  /** The offset of the last read line. */
  #read: Position | undefined;
  #head: Position | undefined;
  #away: Away | undefined;
  #loading = false;
  #typing: ReturnType<typeof setTimeout> | undefined;
  #divider: HTMLElement | undefined;
  #nothing: HTMLElement | undefined;

  /** @param changed called after every change of anything */
  constructor(client: Client, name: string, you: string, changed: (room: Room) => void) {
    this.name = name;
    this.channel = `room:${name}`;
    this.log = new Log(you);
    this.#client = client;
    this.#you = you;
    this.#changed = changed;
    this.#readKey = `read ${you} ${name}`;
    this.#read = JSON.parse(sessionStorage.getItem(this.#readKey) ?? "null") ?? undefined;
    for (const item of kept()) {
      const line = item.channel === this.channel ? lineOf(item) : undefined;
      if (line !== undefined) this.log.pend(line, Date.now(), true);
    }
    const subscription = client.subscribe(this.channel, {
      recent: PAGE,
      onMessage: (message) => this.#heard(message),
      onRecovered: () => this.#recovered(),
      onLost: () => void this.#lost(),
    });
    subscription.ready.then(
      () => this.#begin(),
      () => this.log.note("This room is closed to you"),
    );
    this.members = client.members(this.channel);
    this.members.onChange(() => changed(this));
  }

  /** The number of unread lines. Offsets have no gaps, so the difference is the count. */
  get unread(): number {
    if (this.#head === undefined || this.#read?.epoch !== this.#head.epoch) return 0;
    return this.#head.offset - this.#read.offset;
  }

  /** The other users who are typing. */
  get writing(): string[] {
    return [...this.members]
      .filter(({ user, state }) => user !== this.#you && (state as Shown | undefined)?.typing === true)
      .map(({ user }) => user);
  }

  /** Shows the room, and marks lines that are new since the last time. */
  open(): void {
    this.#divider?.remove();
    const first = this.unread > 0 && this.#read !== undefined ? this.log.firstAfter(this.#read) : undefined;
    this.#divider = first && this.log.note("New", first, "new");
    this.read();
  }

  read(): void {
    if (this.#head === undefined) return;
    this.#read = this.#head;
    sessionStorage.setItem(this.#readKey, JSON.stringify(this.#read));
  }

  say(text: string): void {
    const id = crypto.getRandomValues(new Uint32Array(3)).join("-");
    this.#publish({ id, text });
    this.#stopTyping();
  }

  /** Shows others that the user is typing, for a while. */
  type(): void {
    if (this.#typing === undefined) this.#show({ typing: true });
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#stopTyping(), TYPING_MS);
  }

  /** Handles a lost connection. */
  leave(): void {
    this.#away ??= { since: Date.now(), last: this.log.last, missed: 0 };
    this.log.wait(true);
  }

  /** Loads what was said before the first line. @param around what it is added in */
  async earlier(around: (add: () => void) => void): Promise<void> {
    const { first } = this.log;
    if (!this.more || this.#loading || first === undefined) return;
    this.#loading = true;
    const page = this.#client.history(this.channel, { before: first.offset, limit: PAGE });
    // After a failure the user can request it again.
    const { messages, more } = await page.catch(() => ({ messages: [], more: true }));
    this.#loading = false;
    this.more = more;
    around(() => this.log.fill(messages.filter(({ position }) => position?.epoch === first.epoch)));
    this.#changed(this);
  }

  /** Removes the oldest lines if there are too many. */
  trim(): void {
    if (this.log.trim(KEPT)) this.more = true;
  }

  #publish(line: Line): void {
    this.log.pend(line, Date.now(), this.#client.state.status !== "connected");
    this.#changed(this);
    this.#client.publish(this.channel, line, { key: line.id }).catch((error: ClientError) => {
      // A retry is a new line with a new id, because this one may be stored.
      this.log.fail(line.id, error.message, () => this.say(line.text));
      this.#changed(this);
    });
  }

  #stopTyping(): void {
    if (this.#typing === undefined) return;
    clearTimeout(this.#typing);
    this.#typing = undefined;
    this.#show({ typing: false });
  }

  #show(shown: Shown): void {
    // While offline there is nothing to send: the next connection starts with the current state.
    const signal = this.#client.state.status === "connected" ? undefined : AbortSignal.abort();
    this.#client.setPresence(this.channel, shown, signal && { signal }).catch(() => {});
  }

  #heard(message: ChannelMessage): void {
    this.#head = message.position;
    this.log.append(message);
    if (this.#away !== undefined && message.user !== this.#you) this.#away.missed++;
    this.#changed(this);
  }

  /** Handles the first answer of the server. */
  #begin(): void {
    this.more = (this.log.first?.offset ?? 1) > 1;
    if (this.#read?.epoch !== this.#head?.epoch) this.read();
    this.#changed(this);
  }

  #recovered(): void {
    const away = this.#away;
    this.#away = undefined;
    this.log.wait(false);
    if (away !== undefined) {
      this.#tell(away);
    }
    this.#changed(this);
  }

  #tell({ since, last, missed }: Away): void {
    const away = `Away for ${inWords(Date.now() - since)}`;
    if (missed > 0) {
      const lines = missed === 1 ? "1 message" : `${missed} messages`;
      this.log.note(`${away}, caught up: ${lines}`, last && this.log.firstAfter(last));
    } else if (!this.log.list.hidden) {
      // Only the latest state matters.
      this.#nothing?.remove();
      this.#nothing = this.log.note(`${away}, nothing was missed`);
    }
  }

  async #lost(): Promise<void> {
    const away = this.#away && `Away for ${inWords(Date.now() - this.#away.since)}, `;
    this.#away = undefined;
    this.log.wait(false);
    // A user who has received no message yet notices no gap.
    const text = `${away ?? ""}history did not reach: some of what was said is gone`;
    const note = this.log.last && this.log.note(text, undefined, "bad");
    this.#changed(this);
    const page = this.#client.history(this.channel, { limit: PAGE, timeoutMs: PATIENCE_MS });
    // After a long absence or a refusal, the note shows the reason.
    const { messages } = await page.catch(() => ({ messages: [] }));
    this.log.fill(messages, note);
    this.#changed(this);
  }
}
