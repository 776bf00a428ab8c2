// The user's own drawing, by hand or automatic. It is sent five times a second.

import type { Client } from "lift-ws/client";
import { HEIGHT, type Ink, inkOf, type Point, rose, type Sketch, WIDTH } from "./sketch.ts";
import { find } from "./view.js";

const SEND_MS = 200;
/** The time between two points of the automatic pen. */
const POINT_MS = 14;
/** The most points that a background tab draws when its timer fires. */
const MAX_POINTS = 80;

export class Pen {
  readonly #client: Client;
  readonly #channel: string;
  readonly #canvas: HTMLCanvasElement;
  readonly #sketch: Sketch;
  readonly #rose = rose();
  #timer: ReturnType<typeof setInterval> | undefined;
  #isAuto = true;
  #drawnAt = 0;
  /** Whether the next point starts a new stroke. */
  #isLifted = true;
  /** Points drawn by hand that are not sent yet. */
  #byHand: Point[] = [];

  constructor(client: Client, channel: string, canvas: HTMLCanvasElement, sketch: Sketch) {
    this.#client = client;
    this.#channel = channel;
    this.#canvas = canvas;
    this.#sketch = sketch;
    find("auto").onclick = () => this.#auto(!this.#isAuto);
    canvas.onpointerdown = (event) => this.#down(event);
    canvas.onpointermove = (event) => this.#move(event);
  }

  get isDown(): boolean {
    return this.#timer !== undefined;
  }

  get isAuto(): boolean {
    return this.#isAuto;
  }

  /** Clears the picture, also for viewers. */
  async clear(): Promise<void> {
    await this.#publish({ clear: true });
  }

  start(): void {
    this.#auto(true);
    this.#timer ??= setInterval(() => this.#send(), SEND_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#byHand = [];
  }

  #auto(on: boolean): void {
    this.#isAuto = on;
    this.#isLifted = true;
    this.#drawnAt = performance.now();
    find("auto").ariaPressed = String(on);
  }

  #down(event: PointerEvent): void {
    if (!this.isDown) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#auto(false);
    this.#hand(event, true);
  }

  #move(event: PointerEvent): void {
    if (!this.isDown || event.buttons === 0) return;
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
    if (this.#isAuto && this.#client.state.status === "connected") {
      const due = Math.min(MAX_POINTS, Math.round((now - this.#drawnAt) / POINT_MS));
      const drawn = Array.from({ length: due }, () => this.#next());
      this.#sketch.draw(drawn);
      points.push(...drawn);
    }
    this.#drawnAt = now;
    if (points.length > 0) void this.#publish(inkOf(points));
  }

  #next(): Point {
    const down = this.#isLifted;
    this.#isLifted = false;
    return { ...this.#rose.next().value, down };
  }

  async #publish(data: Ink | { clear: true }): Promise<void> {
    // A lost publication only means fewer strokes in a picture that fades.
    await this.#client.publish(this.#channel, data).catch(() => {});
  }
}
