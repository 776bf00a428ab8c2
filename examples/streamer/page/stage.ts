// A room's stage: who is live, the number of viewers, and the drawing.

import type { Client, ClientError, Json, LiveStream, Stream, Subscription } from "lift-ws/client";
import { Pen } from "./pen.ts";
import type { Room } from "./room.ts";
import { Sketch } from "./sketch.ts";
import { find, inWords } from "./view.js";

/** The session storage key for the room in which this tab is live. After a reload it continues to draw. */
const KEY = "stage";
/** Long enough for many reconnects. */
const PATIENCE_MS = 3_600_000;
const NOTE_MS = 6_000;

export interface StageEvents {
  /** Called after every change. */
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
  /** The visible room. */
  #visibleRoom: Room;
  /** The room of the open stage. Differs from the visible room while this user is live elsewhere. */
  #room: Room;
  #stream: Stream;
  /** Whether this window draws. */
  #isOwn = false;
  /** Whether the drawing from before a reload is being loaded. */
  #isLoading = false;
  /** The user whose picture is shown, even after the stream. */
  #artist: string | undefined;
  #ink: Subscription | undefined;
  #isFolded = false;
  #state: "live" | "away" | "done" = "done";
  /** The start of the stream that this user has ended, until the server confirms the end. */
  #ended: number | undefined;
  #awaySince = 0;
  #strokeCount = 0;

  /** @param rooms finds the room of a name */
  constructor(client: Client, you: string, rooms: (name: string) => Room, first: Room, events: StageEvents) {
    this.#client = client;
    this.#you = you;
    this.#events = events;
    this.#pen = new Pen(client, `ink:${you}`, this.#canvas, this.#sketch);
    find("live-end").onclick = () => this.#onButton();
    this.#visibleRoom = first;
    const own = sessionStorage.getItem(KEY);
    this.#isOwn = own !== null;
    this.#room = own === null ? first : rooms(own);
    this.#stream = this.#open();
    if (own !== null) void this.#resume();
  }

  get room(): Room {
    return this.#room;
  }

  /** The live stream of this room, as far as known. */
  get live(): LiveStream | undefined {
    const { live } = this.#stream;
    return live?.since === this.#ended ? undefined : live;
  }

  /** Shows the stage of a room. A user who is live stays on their own stage. */
  showRoom(room: Room): void {
    this.#visibleRoom = room;
    if (!this.#isOwn && room !== this.#room) {
      this.#clearStage();
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

  /** Handles a lost connection. */
  onDisconnect(): void {
    this.#awaySince = Date.now();
    this.#strokeCount = 0;
    if (this.#artist === undefined || this.live === undefined) return;
    if (!this.#isOwn) this.#note("Cut off: the picture stands still");
    else this.#note(this.#pen.isAuto ? "Cut off: the pen waits" : "Cut off: what you draw waits to be sent");
  }

  /** Handles a new connection. */
  onReconnect(): void {
    if (this.#isOwn) this.#note("");
  }

  /** Shows the current state. */
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

  /** Restores the user's drawing after a reload, if they are still live. */
  async #resume(): Promise<void> {
    this.#isLoading = true;
    await this.#stream.ready.catch(() => {});
    if (this.live?.user === this.#you) await this.#loadHistory(`ink:${this.#you}`);
    else this.#leaveStage();
    this.#isLoading = false;
    this.show();
  }

  #draw(): void {
    if (this.#pen.isDown || this.#isLoading) return;
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
      onMessage: ({ data }) => this.#drawMessage(data),
      onRecovered: () => this.#showCatchUp(`caught up: ${this.#strokeCount} strokes`),
      onLost: () => {
        this.#showCatchUp("history did not reach: the newest strokes are here");
        void this.#loadHistory(channel);
      },
    });
  }

  /** Handles the end of the stream. The last picture stays visible. */
  #end(): void {
    if (this.#pen.isDown) {
      this.#note(
        this.#stream.endReason === "ended" ? "Ended in another window" : "You were away for too long",
      );
      this.#leaveStage();
      if (this.#visibleRoom !== this.#room) this.showRoom(this.#visibleRoom);
    } else if (this.#ink !== undefined) {
      const ends = {
        ended: `${this.#artist} has ended it`,
        owner_left: `${this.#artist} did not come back`,
      };
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

  /** Clears the stage. */
  #clearStage(): void {
    this.#leaveStage();
    this.#ink?.unsubscribe();
    this.#ink = undefined;
    this.#artist = undefined;
    this.#sketch.clear();
    this.#note("");
  }

  #onButton(): void {
    const { live } = this;
    if (live?.user === this.#you) {
      this.#ended = live.since;
      // While offline, the request waits for the next connection.
      this.#stream.end({ timeoutMs: PATIENCE_MS }).catch(() => {});
      this.#clearStage();
      this.showRoom(this.#visibleRoom);
    } else if (live === undefined) {
      this.#clearStage();
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
    const place = this.#room === this.#visibleRoom ? "" : `, in #${this.#room.name}`;
    const window = isYours && live !== undefined && !this.#isOwn ? ", in another window" : "";
    find("live-title").textContent = `${isYours ? "Your" : `${artist}’s`} sketch${place}${window}`;
    this.#badge(this.#stateOf(live));
    // The artist's own connection is one of the viewers.
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
      : `The drawing of ${artist}`;
  }

  #badge(state: "live" | "away" | "done"): void {
    if (state === "away" && this.#state !== state) this.#note(`Waiting for ${this.#artist}`);
    if (state === "live" && this.#state === "away") this.#note("");
    this.#state = state;
    find("live-badge").dataset.state = state;
    find("live-badge").textContent = { live: "Live", away: "Away", done: "Ended" }[state];
  }

  /** The server keeps the stream of a disconnected owner for a grace time. The room's members show who is connected. */
  #stateOf(live: LiveStream | undefined): "live" | "away" | "done" {
    if (live === undefined) return "done";
    const { users } = this.#room.members;
    return users.size === 0 || users.has(live.user) ? "live" : "away";
  }

  #drawMessage(data: Json): void {
    this.#strokeCount++;
    if (typeof data === "object" && data !== null && "clear" in data) this.#sketch.clear();
    else this.#sketch.add(data);
  }

  /** Draws the newest messages of a channel's history. */
  async #loadHistory(channel: string): Promise<void> {
    this.#sketch.clear();
    // If the history cannot be loaded, the picture starts empty.
    const { messages } = await this.#client.history(channel).catch(() => ({ messages: [] }));
    if (`ink:${this.live?.user}` !== channel) return;
    for (const { data } of messages) this.#drawMessage(data);
  }

  #showCatchUp(how: string): void {
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
