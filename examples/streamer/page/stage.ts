// A room's stage: who is live there, for how many, and what they draw.

import type { Client, ClientError, Json, LiveStream, Stream, Subscription } from "lift-ws/client";
import { Pen } from "./pen.ts";
import type { Room } from "./room.ts";
import { Sketch } from "./sketch.ts";
import { find, inWords } from "./view.js";

/** The room whose stage one is on, kept for as long as the tab is: a reload goes on drawing. */
const KEY = "stage";
/** However often the connection goes meanwhile. */
const PATIENCE_MS = 3_600_000;
const NOTE_MS = 6_000;

export interface StageEvents {
  /** After every change of anything. */
  changed(): void;
  refused(error: ClientError): void;
}

export class Stage {
  readonly #client: Client;
  readonly #you: string;
  readonly #events: StageEvents;
  readonly #canvas = find("sketch") as HTMLCanvasElement;
  readonly #sketch = new Sketch(this.#canvas);
  readonly #pen: Pen;
  /** The room that is looked at. */
  #wanted: Room;
  /** The one whose stage is open: another, while one is live there. */
  #room: Room;
  #stream: Stream;
  /** This window is the one that draws. */
  #isOwn = false;
  /** What it has drawn before a reload is on its way. */
  #isFilling = false;
  /** Whose picture is there, though they may not be live any more. */
  #artist: string | undefined;
  #ink: Subscription | undefined;
  #isFolded = false;
  #state: "live" | "away" | "done" = "done";
  /** Since when the stream was that one has ended: the server has not said so yet. */
  #ended: number | undefined;
  #awaySince = 0;
  #caught = 0;

  /** @param rooms finds the room of a name */
  constructor(client: Client, you: string, rooms: (name: string) => Room, first: Room, events: StageEvents) {
    this.#client = client;
    this.#you = you;
    this.#events = events;
    this.#pen = new Pen(client, `ink:${you}`, this.#canvas, this.#sketch);
    find("live-end").onclick = () => this.#press();
    this.#wanted = first;
    const own = sessionStorage.getItem(KEY);
    this.#isOwn = own !== null;
    this.#room = own === null ? first : rooms(own);
    this.#stream = this.#open();
    if (own !== null) void this.#goOn();
  }

  get room(): Room {
    return this.#room;
  }

  /** Who streams here, as far as one knows. */
  get live(): LiveStream | undefined {
    const { live } = this.#stream;
    return live?.since === this.#ended ? undefined : live;
  }

  /** Whoever is on a stage stays there, whatever room they look at. */
  look(room: Room): void {
    this.#wanted = room;
    if (!this.#isOwn && room !== this.#room) {
      this.#forget();
      this.#stream.close();
      this.#room = room;
      this.#stream = this.#open();
    }
    this.show();
  }

  async start(): Promise<void> {
    if (this.#isOwn) return;
    this.#isOwn = true;
    this.#sketch.clear();
    try {
      await this.#pen.clear();
      await this.#stream.start();
      sessionStorage.setItem(KEY, this.#room.name);
    } catch (error) {
      this.#leaveStage();
      this.#events.refused(error as ClientError);
    }
    this.show();
  }

  /** The connection has gone. */
  lost(): void {
    this.#awaySince = Date.now();
    this.#caught = 0;
    if (this.#artist === undefined || this.live === undefined) return;
    if (!this.#isOwn) this.#note("Cut off: the picture stands still");
    else this.#note(this.#pen.isAuto ? "Cut off: the pen waits" : "Cut off: what you draw waits to be sent");
  }

  /** The connection is there. */
  back(): void {
    if (this.#isOwn) this.#note("");
  }

  /** Shows what is known by now. */
  show(): void {
    const { live } = this;
    if (live === undefined) this.#end();
    else if (live.user === this.#you && this.#isOwn) this.#draw();
    else this.#watch(live.user);
    this.#head(this.live);
    this.#events.changed();
  }

  #open(): Stream {
    const stream = this.#client.stream(`stage:${this.#room.name}`);
    stream.onChange(() => this.show());
    return stream;
  }

  /** After a reload: what one has drawn is there again, if the stream is still one's own. */
  async #goOn(): Promise<void> {
    this.#isFilling = true;
    await this.#stream.ready.catch(() => {});
    if (this.live?.user === this.#you) await this.#fill(`ink:${this.#you}`);
    else this.#leaveStage();
    this.#isFilling = false;
    this.show();
  }

  #draw(): void {
    if (this.#pen.isDown || this.#isFilling) return;
    this.#artist = this.#you;
    this.#isFolded = false;
    this.#note("");
    this.#pen.start();
  }

  #watch(user: string): void {
    this.#leaveStage();
    if (this.#artist !== user) this.#sketch.clear();
    this.#artist = user;
    if (this.#isFolded || this.#ink !== undefined) return;
    this.#note("");
    const channel = `ink:${user}`;
    this.#ink = this.#client.subscribe(channel, {
      recent: 100,
      onMessage: ({ data }) => this.#heard(data),
      onRecovered: () => this.#caughtUp(`caught up: ${this.#caught} strokes`),
      onLost: () => {
        this.#caughtUp("history did not reach: the newest strokes are here");
        void this.#fill(channel);
      },
    });
  }

  /** Nobody is live any more: the last picture stays. */
  #end(): void {
    if (this.#pen.isDown) {
      this.#note(
        this.#stream.endReason === "ended" ? "Ended in another window" : "You were away for too long",
      );
      this.#leaveStage();
      if (this.#wanted !== this.#room) this.look(this.#wanted);
    } else if (this.#ink !== undefined) {
      const ends = { ended: `${this.#artist} has ended it`, owner_left: `${this.#artist} did not come back` };
      this.#note(this.#stream.endReason ? ends[this.#stream.endReason] : "It ended while you were away");
    }
    this.#ink?.unsubscribe();
    this.#ink = undefined;
  }

  #leaveStage(): void {
    this.#pen.stop();
    this.#isOwn = false;
    sessionStorage.removeItem(KEY);
  }

  /** Nothing is left of a picture. */
  #forget(): void {
    this.#leaveStage();
    this.#ink?.unsubscribe();
    this.#ink = undefined;
    this.#artist = undefined;
    this.#sketch.clear();
    this.#note("");
  }

  #press(): void {
    const { live } = this;
    if (live?.user === this.#you) {
      this.#ended = live.since;
      // Without a connection the server is told when there is one.
      this.#stream.end({ timeoutMs: PATIENCE_MS }).catch(() => {});
      this.#forget();
      this.look(this.#wanted);
    } else if (live === undefined) {
      this.#forget();
    } else {
      this.#isFolded = !this.#isFolded;
      this.#ink?.unsubscribe();
      this.#ink = undefined;
    }
    this.show();
  }

  #head(live: LiveStream | undefined): void {
    const artist = this.#artist;
    const isYours = artist === this.#you;
    find("live").hidden = artist === undefined;
    if (artist === undefined) return;
    const place = this.#room === this.#wanted ? "" : `, in #${this.#room.name}`;
    const window = isYours && live !== undefined && !this.#isOwn ? ", in another window" : "";
    find("live-title").textContent = `${isYours ? "Your" : `${artist}’s`} sketch${place}${window}`;
    this.#badge(this.#stateOf(live));
    // Who draws is one of the channel's connections, and watches nobody.
    const watching = (live?.viewers ?? 0) - 1;
    find("viewers").hidden = live === undefined;
    find("viewers").textContent = watching > 0 ? `${watching} watching` : "Only you";
    const press = live === undefined ? "Close" : this.#isFolded ? "Show" : "Hide";
    find("live-end").textContent = isYours && live !== undefined ? "End stream" : press;
    find("auto").hidden = !this.#pen.isDown;
    find("paper").hidden = this.#isFolded && !isYours;
    this.#canvas.classList.toggle("own", this.#pen.isDown);
    this.#canvas.ariaLabel = this.#pen.isDown
      ? "Your drawing: draw with the pointer"
      : `What ${artist} draws`;
  }

  #badge(state: "live" | "away" | "done"): void {
    if (state === "away" && this.#state !== state) this.#note(`Waiting for ${this.#artist}`);
    if (state === "live" && this.#state === "away") this.#note("");
    this.#state = state;
    find("live-badge").dataset.state = state;
    find("live-badge").textContent = { live: "Live", away: "Away", done: "Ended" }[state];
  }

  /** The server waits a while for an owner who is away: others see that by the room's members. */
  #stateOf(live: LiveStream | undefined): "live" | "away" | "done" {
    if (live === undefined) return "done";
    const { users } = this.#room.members;
    return users.size === 0 || users.has(live.user) ? "live" : "away";
  }

  #heard(data: Json): void {
    this.#caught++;
    if (typeof data === "object" && data !== null && "clear" in data) this.#sketch.clear();
    else this.#sketch.add(data);
  }

  /** With the newest of what a channel keeps. */
  async #fill(channel: string): Promise<void> {
    this.#sketch.clear();
    // Without an answer the picture begins anew.
    const { messages } = await this.#client.history(channel).catch(() => ({ messages: [] }));
    if (`ink:${this.live?.user}` !== channel) return;
    for (const { data } of messages) this.#heard(data);
  }

  #caughtUp(how: string): void {
    const text = `Away for ${inWords(Date.now() - this.#awaySince)}, ${how}`;
    this.#note(text);
    setTimeout(() => {
      if (find("live-note").textContent === text) this.#note("");
    }, NOTE_MS);
  }

  #note(text: string): void {
    find("live-note").textContent = text;
  }
}
