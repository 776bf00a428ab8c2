import type { ServerMessage } from "../../protocol/index.ts";

/** The fields that there have to be, with what `typeof` says of them. */
interface Shape {
  readonly [field: string]: string | Shape;
}

const PUSHED = { id: "string", channel: "string", at: "number" };
const SHAPES = new Map<unknown, Shape>(
  Object.entries({
    response: { request_id: "string", data: {} },
    error: { error: { code: "string", retry: "boolean" } },
    message: PUSHED,
    presence: { ...PUSHED, user: "string" },
    stream_started: { ...PUSHED, live: {} },
    stream_ended: { ...PUSHED, user: "string" },
    viewers: { ...PUSHED, count: "number" },
  }),
);
const POSITION = { epoch: "string", offset: "number" };

/**
 * Reads a server's message: as much of it as the client goes by. `undefined`: it is none, or of a type not known here;
 * the service itself sends such, of a function that has failed. The protocol's own reader checks every field of every
 * value, which a page would pay for in bytes and with every message.
 */
export function parseMessage(data: unknown): ServerMessage | undefined {
  try {
    const message = JSON.parse(data as string);
    const shape = SHAPES.get(message.type);
    if (!shape || !fits(message, shape)) return undefined;
    return message.position === undefined || fits(message.position, POSITION) ? message : undefined;
  } catch {
    return undefined;
  }
}

function fits(value: unknown, shape: string | Shape): boolean {
  if (typeof shape === "string") return typeof value === shape;
  if (!(value instanceof Object)) return false;
  return Object.entries(shape).every(([field, kind]) => fits(value[field as keyof typeof value], kind));
}
