// A live stream: one person's pen, and who watches it.

import type { Client, Json, Members, Subscription } from "lift-ws/client";
import { element, find, inWords, person } from "../../chat/page/view.js";
import { HEIGHT, type Ink, inkOf, rose, Sketch, WIDTH } from "./sketch.ts";

/** So often what was drawn is sent. */
const SEND_MS = 200;
/** How fast the pen goes by itself. */
const POINT_MS = 14;
/** What a tab in the background draws at once when its timer comes. */
const MAX_POINTS = 80;

interface Show {
  readonly owner: string;
  readonly members: Members;
  readonly subscription?: Subscription;
}

export class Live {
  readonly #client: Client;
  readonly #you: string;
  readonly #changed: () => void;
  readonly #canvas = find("sketch") as HTMLCanvasElement;
  readonly #sketch = new Sketch(this.#canvas);
  readonly #pen = rose();
  #show: Show | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isAuto = true;
  #drawnAt = 0;
  /** Drawn by hand, and not sent yet. */
  #byHand: Parameters<typeof inkOf>[0][number][] = [];
  #awaySince = 0;
  #caught = 0;

  /** @param changed called when a stream begins or ends here */
  constructor(client: Client, you: string, changed: () => void) {
    this.#client = client;
    this.#you = you;
    this.#changed = changed;
    find("live-end").onclick = () => this.close();
    find("auto").onclick = () => this.#auto(!this.#isAuto);
    this.#canvas.onpointerdown = (event) => this.#down(event);
    this.#canvas.onpointermove = (event) => this.#move(event);
  }

  /** Whose stream is seen. */
  get owner(): string | undefined {
    return this.#show?.owner;
  }

  get isOwn(): boolean {
    return this.#timer !== undefined;
  }

  watch(owner: string): void {
    this.close();
    this.#open(owner, (channel) =>
      this.#client.subscribe(channel, {
        recent: 100,
        onMessage: ({ data }) => this.#heard(data),
        onRecovered: () => this.#back(`caught up: ${this.#caught} strokes`),
        onLost: () => void this.#lost(channel),
      }),
    );
  }

  start(): void {
    this.close();
    this.#open(this.#you);
    this.#publish({ clear: true });
    this.#auto(true);
    this.#drawnAt = performance.now();
    this.#timer = setInterval(() => this.#send(), SEND_MS);
    this.#changed();
  }

  close(): void {
    if (this.#show === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#show.subscription?.unsubscribe();
    this.#show.members.close();
    this.#show = undefined;
    find("live").hidden = true;
    this.#changed();
  }

  /** The connection has gone. */
  leave(): void {
    this.#awaySince = Date.now();
    this.#caught = 0;
    if (this.isOwn)
      this.#note(this.#isAuto ? "Cut off: the pen waits" : "Cut off: what you draw waits to be sent");
    else this.#note("Cut off: the picture stands still");
  }

  /** The connection is there. */
  back(): void {
    if (this.isOwn) this.#note("");
  }

  /** @param state what is known of the owner: `away` is not in the room */
  ownerIs(state: "live" | "away" | "done"): void {
    const badge = find("live-badge");
    badge.dataset.state = state;
    badge.textContent = { live: "Live", away: "Away", done: "Ended" }[state];
  }

  #open(owner: string, subscribe?: (channel: string) => Subscription): void {
    const own = subscribe === undefined;
    const channel = `stream:${owner}`;
    this.#sketch.clear();
    const subscription = subscribe?.(channel);
    const members = this.#client.members(channel);
    this.#show = { owner, members, ...(subscription && { subscription }) };
    members.onChange(() => this.#viewers(members, owner));
    find("live").hidden = false;
    find("live-title").textContent = own ? "Your sketch" : `${owner}’s sketch`;
    find("live-end").textContent = own ? "End stream" : "Close";
    find("auto").hidden = !own;
    find("viewers").replaceChildren();
    this.#canvas.classList.toggle("own", own);
    this.#canvas.ariaLabel = own ? "Your drawing: draw with the pointer" : `What ${owner} draws`;
    this.#note("");
    this.ownerIs("live");
    this.#changed();
  }

  #viewers(members: Members, owner: string): void {
    const viewers = [...members.users.keys()].filter((user) => user !== owner);
    const faces = viewers.slice(0, 4).map((user) => {
      const [face] = person(user);
      face!.title = user;
      return face!;
    });
    const count = element("span", "", `${viewers.length} watching`);
    find("viewers").replaceChildren(...faces, count);
  }

  /* Drawing */

  #auto(on: boolean): void {
    this.#isAuto = on;
    this.#drawnAt = performance.now();
    find("auto").ariaPressed = String(on);
  }

  #down(event: PointerEvent): void {
    if (!this.isOwn) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#auto(false);
    this.#hand(event, true);
  }

  #move(event: PointerEvent): void {
    if (!this.isOwn || event.buttons === 0) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) this.#hand(each, false);
  }

  #hand({ offsetX, offsetY, timeStamp }: PointerEvent, down: boolean): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const x = (offsetX / clientWidth) * WIDTH;
    const y = (offsetY / clientHeight) * HEIGHT;
    const last = this.#byHand.at(-1);
    if (!down && last !== undefined && Math.hypot(last.x - x, last.y - y) < 6) return;
    const point = { x, y, hue: (timeStamp / 40) % 360, down };
    this.#byHand.push(point);
    this.#sketch.draw([point]);
  }

  #send(): void {
    const points = this.#byHand.splice(0, MAX_POINTS);
    const now = performance.now();
    const isOnline = this.#client.state.status === "connected";
    if (this.#isAuto && isOnline) {
      const due = Math.min(MAX_POINTS, Math.round((now - this.#drawnAt) / POINT_MS));
      const drawn = Array.from({ length: due }, () => this.#pen.next().value);
      this.#sketch.draw(drawn);
      points.push(...drawn);
    }
    this.#drawnAt = now;
    if (points.length > 0) this.#publish(inkOf(points));
  }

  #publish(data: Ink | { clear: true }): void {
    // Ink is not missed much: what could not be sent is fewer strokes in a picture that fades.
    this.#client.publish(`stream:${this.#you}`, data).catch(() => {});
  }

  /* Watching */

  #heard(data: Json): void {
    this.#caught++;
    if (typeof data === "object" && data !== null && "clear" in data) this.#sketch.clear();
    else this.#sketch.add(data);
  }

  async #lost(channel: string): Promise<void> {
    this.#back("history did not reach: the newest strokes are here");
    this.#sketch.clear();
    // Without an answer the picture begins anew.
    const { messages } = await this.#client.history(channel).catch(() => ({ messages: [] }));
    if (this.#show?.members.channel !== channel) return;
    for (const { data } of messages) this.#heard(data);
  }

  #back(what: string): void {
    this.#note(`Away for ${inWords(Date.now() - this.#awaySince)}, ${what}`);
    setTimeout(() => this.#note(""), 6_000);
  }

  #note(text: string): void {
    find("live-note").textContent = text;
  }
}
