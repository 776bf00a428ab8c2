// The lines of a room. Text of users becomes text nodes, never markup.

import type { ChannelMessage, Position } from "lift-ws/client";
import { colour, element, find } from "./view.js";

const GROUP_WITHIN_MS = 5 * 60_000;
const DAY_MS = 86_400_000;

/** A message in a room. The sender chooses the id. */
export type Line = { id: string; text: string };

const today = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const otherDay = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });

interface Entry {
  readonly item: HTMLElement;
  readonly from: string;
  readonly at: number;
  readonly position?: Position | undefined;
}

/** Returns `undefined` for data that is not a line, because clients can publish any JSON. */
export function lineOf({ data }: Pick<ChannelMessage, "data">): Line | undefined {
  const { id, text } = (data ?? {}) as { readonly [Name in keyof Line]?: unknown };
  return typeof id === "string" && typeof text === "string" ? { id, text } : undefined;
}

export class Log {
  readonly list = element("ol", "log");
  readonly #you: string;
  /** The stored lines in order. */
  readonly #entries: Entry[] = [];
  /** The user's lines that are not stored yet, by id. They are shown last. */
  readonly #pending = new Map<string, HTMLElement>();

  constructor(you: string) {
    this.#you = you;
    this.list.role = "log";
    this.list.hidden = true;
    find("logs").append(this.list);
  }

  get isEmpty(): boolean {
    return this.list.childElementCount === 0;
  }

  get first(): Position | undefined {
    return this.#entries[0]?.position;
  }

  get last(): Position | undefined {
    return this.#entries.at(-1)?.position;
  }

  /** Appends the next line in order. */
  append(message: ChannelMessage): HTMLElement | undefined {
    const entry = this.#entry(message);
    if (entry === undefined) return undefined;
    const before = this.#entries.at(-1);
    this.#entries.push(entry);
    this.#beforePending(entry.item);
    group(entry, before);
    return entry.item;
  }

  /** @returns whether lines were removed */
  trim(kept: number): boolean {
    const gone = this.#entries.splice(0, this.#entries.length - kept);
    for (const { item } of gone) item.remove();
    return gone.length > 0;
  }

  /** Inserts the missing lines of a history page: after a note, or else at the top. */
  fill(messages: readonly ChannelMessage[], note?: HTMLElement): void {
    const known = new Set(this.#entries.map(({ position }) => keyOf(position)));
    const entries = messages
      .filter(({ position }) => !known.has(keyOf(position)))
      .map((message) => this.#entry(message))
      .filter((entry) => entry !== undefined);
    const items = entries.map(({ item }) => item);
    if (note === undefined) this.list.prepend(...items);
    else note.after(...items);
    const after = this.#entries.findIndex(({ item }) => note === undefined || follows(item, note));
    const place = after === -1 ? this.#entries.length : after;
    this.#entries.splice(place, 0, ...entries);
    for (let n = place; n <= place + entries.length && n < this.#entries.length; n++) {
      group(this.#entries[n]!, this.#entries[n - 1]);
    }
  }

  /** One's own, before it is stored. @param waits there is no connection */
  pend({ id, text }: Line, at: number, waits: boolean): void {
    const item = this.#item(this.#you, at, text);
    item.classList.add("pending");
    this.#pending.set(id, item);
    this.list.append(item);
    showState(item, waits);
  }

  /** Handles a change of the connection. */
  wait(waits: boolean): void {
    for (const item of this.#pending.values()) if (item.matches(".pending")) showState(item, waits);
  }

  /** Marks a line that was refused, or whose outcome is unknown. */
  fail(id: string, why: string, again: () => void): void {
    const item = this.#pending.get(id);
    if (item === undefined) return;
    const button = element("button", "link", "Send again");
    button.onclick = () => {
      item.remove();
      this.#pending.delete(id);
      again();
    };
    item.classList.replace("pending", "failed");
    item.querySelector(".state")!.replaceChildren(`Not sent: ${why}`, button);
  }

  /** @param before `undefined`: at the end */
  note(text: string, before?: HTMLElement, kind = ""): HTMLElement {
    const item = element("li", `note ${kind}`, element("span", "", text));
    if (before === undefined) this.#beforePending(item);
    else before.before(item);
    // The line after it gets its own header.
    const next = this.#entries.find((entry) => entry.item === item.nextElementSibling);
    if (next !== undefined) group(next, undefined);
    return item;
  }

  /** Finds the first line of another user after a position. */
  firstAfter({ epoch, offset }: Position): HTMLElement | undefined {
    return this.#entries.find(
      ({ position, from }) => from !== this.#you && (position?.epoch !== epoch || position.offset > offset),
    )?.item;
  }

  #beforePending(item: HTMLElement): void {
    const [first] = this.#pending.values();
    if (first === undefined) this.list.append(item);
    else first.before(item);
  }

  #entry(message: ChannelMessage): Entry | undefined {
    const line = lineOf(message);
    if (line === undefined) return undefined;
    const { user: from = "the server", at, position } = message;
    const pending = from === this.#you ? this.#pending.get(line.id) : undefined;
    const item = pending ?? this.#item(from, at, line.text);
    if (pending !== undefined) {
      this.#pending.delete(line.id);
      item.classList.remove("pending", "failed");
    }
    if (from === this.#you) item.querySelector(".state")!.replaceChildren(mark("Stored", "✓"));
    item.title = position === undefined ? "" : `Offset ${position.offset}`;
    return { item, from, at, position };
  }

  #item(from: string, at: number, text: string): HTMLElement {
    const time = element(
      "time",
      "",
      (Date.now() - at < DAY_MS ? today : otherDay).format(at),
    ) as HTMLTimeElement;
    time.dateTime = new Date(at).toISOString();
    const by = element("div", "by", colour(element("b", "", from), from), time);
    const item = element("li", "message", by, element("p", "text", text), element("span", "state"));
    item.classList.toggle("own", from === this.#you);
    return item;
  }
}

function keyOf(position: Position | undefined): string {
  return `${position?.epoch} ${position?.offset}`;
}

function follows(item: HTMLElement, other: HTMLElement): boolean {
  return (other.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
}

function showState(item: HTMLElement, waits: boolean): void {
  item.classList.toggle("waiting", waits);
  item.querySelector(".state")!.replaceChildren(waits ? "Waits for the network" : "Sending …");
}

function mark(name: string, sign: string): HTMLElement {
  const shown = element("span", "", sign);
  shown.ariaHidden = "true";
  return element("span", "mark", shown, element("span", "sr", name));
}

/** A line after one of the same user does not repeat the name. */
function group({ item, from, at }: Entry, before: Entry | undefined): void {
  const near = before !== undefined && before.item === item.previousElementSibling;
  item.classList.toggle("follows", near && before.from === from && at - before.at < GROUP_WITHIN_MS);
}
