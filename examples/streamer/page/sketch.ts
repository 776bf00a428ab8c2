// A live drawing: a trail of ink that fades as new ink arrives.

import type { Json } from "lift-ws/client";

/** The paper's size in its own units. */
export const WIDTH = 1600;
export const HEIGHT = 900;

/** The number of visible points. */
const TRAIL = 1_400;
/** The number of points drawn with one width and opacity. */
const STEP = 8;
/** New ink is drawn over about this time, so that messages five times a second look continuous. */
const FLOW_MS = 260;
/** More points than this are history, and are drawn at once. */
const PAST = 400;

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly hue: number;
  /** Whether a stroke starts here. */
  readonly down: boolean;
}

/** A published piece of a drawing: x, y, hue, and 1 at the start of a stroke, for each point. */
export type Ink = { ink: number[] };

export function inkOf(points: readonly Point[]): Ink {
  return { ink: points.flatMap(({ x, y, hue, down }) => [x, y, hue, down ? 1 : 0].map(Math.round)) };
}

/** Returns no points for data that is not ink, because clients can publish any JSON. */
function pointsOf(data: Json): Point[] {
  const ink = typeof data === "object" && data !== null && "ink" in data ? data.ink : undefined;
  if (!Array.isArray(ink) || !ink.every((number) => Number.isFinite(number))) return [];
  const numbers = ink as number[];
  return Array.from({ length: Math.floor(numbers.length / 4) }, (_, n) => {
    const [x, y, hue, down] = numbers.slice(4 * n, 4 * n + 4) as [number, number, number, number];
    return { x, y, hue, down: down === 1 };
  });
}

export class Sketch {
  readonly #canvas: HTMLCanvasElement;
  readonly #pen: CanvasRenderingContext2D;
  #shown: Point[] = [];
  #coming: Point[] = [];
  #frame = 0;
  #last = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d")!;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  clear(): void {
    this.#shown = [];
    this.#coming = [];
    this.#draw();
  }

  add(data: Json): void {
    this.draw(pointsOf(data));
  }

  draw(points: readonly Point[]): void {
    // A background tab draws nothing, so points that would have faded are dropped.
    this.#coming = [...this.#coming, ...points].slice(-TRAIL);
    if (this.#frame !== 0) return;
    this.#last = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#flow(now));
  }

  #flow(now: number): void {
    const waiting = this.#coming.length;
    const share = waiting > PAST ? 1 : Math.min(1, (now - this.#last) / FLOW_MS);
    this.#last = now;
    this.#shown.push(...this.#coming.splice(0, Math.ceil(waiting * share)));
    this.#shown = this.#shown.slice(-TRAIL);
    this.#draw();
    this.#frame = this.#coming.length === 0 ? 0 : requestAnimationFrame((next) => this.#flow(next));
  }

  #draw(): void {
    const canvas = this.#canvas;
    const pen = this.#pen;
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    pen.setTransform(width / WIDTH, 0, 0, height / HEIGHT, 0, 0);
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    pen.lineJoin = "round";
    for (let from = 0; from < this.#shown.length - 1; from += STEP) {
      const age = (this.#shown.length - from) / TRAIL;
      this.#stroke(this.#shown.slice(from, from + STEP + 1), age);
    }
    this.#nib();
  }

  /** @param age 1: about to vanish, 0: just drawn */
  #stroke(points: readonly Point[], age: number): void {
    const pen = this.#pen;
    const { hue } = points[0]!;
    pen.strokeStyle = `hsl(${hue} 78% 56% / ${1 - 0.85 * age})`;
    pen.lineWidth = 9 - 6 * age;
    pen.beginPath();
    points.forEach(({ x, y, down }, n) => {
      if (n === 0 || down) pen.moveTo(x, y);
      else pen.lineTo(x, y);
    });
    pen.stroke();
  }

  #nib(): void {
    const last = this.#shown.at(-1);
    if (last === undefined) return;
    this.#pen.fillStyle = `hsl(${last.hue} 85% 60%)`;
    this.#pen.beginPath();
    this.#pen.arc(last.x, last.y, 11, 0, 2 * Math.PI);
    this.#pen.fill();
  }
}

/** The automatic pen: draws roses with a changing number of petals. */
export function* rose(): Generator<Point, never> {
  let bend = 0;
  for (let step = Math.floor(Math.random() * 10_000); ; step++) {
    const turn = step / 30;
    bend += (4.8 + 1.6 * Math.sin(step / 900)) / 30;
    const reach = 0.6 + 0.38 * Math.cos(bend);
    yield {
      x: WIDTH / 2 + 0.48 * WIDTH * reach * Math.cos(turn),
      y: HEIGHT / 2 + 0.48 * HEIGHT * reach * Math.sin(turn),
      hue: (step / 3) % 360,
      down: false,
    };
  }
}
