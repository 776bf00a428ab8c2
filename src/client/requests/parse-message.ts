import type { ServerMessage } from "../../protocol/index.ts";

/** Required fields with their `typeof`. */
interface Shape {
  readonly [field: string]: string | Shape;
}

const PUSHED = { id: "string", channel: "string", at: "number" };
const BY_USER = { ...PUSHED, user: "string" };
const SHAPES = new Map<unknown, Shape>(
  Object.entries({
    response: { request_id: "string", data: {} },
    error: { error: { code: "string", retry: "boolean" } },
    message: PUSHED,
    presence: BY_USER,
    stream_started: { ...PUSHED, live: {} },
    stream_ended: BY_USER,
    viewers: { ...PUSHED, count: "number" },
  }),
);
const POSITION = { epoch: "string", offset: "number" };

/**
 * Parses a server's message. Checks only the fields that the client relies on: the protocol's parser checks every field, and
 * costs a page more bytes and time. Returns `undefined` for invalid messages and unknown types; API Gateway itself sends such
 * a message after a function has failed.
 */
export function parseMessage(data: unknown): ServerMessage | undefined {
  try {
    const message = JSON.parse(data as string);
    const shape = SHAPES.get(message.type);
    if (!shape || !matches(message, shape)) return undefined;
    return message.position === undefined || matches(message.position, POSITION) ? message : undefined;
  } catch {
    return undefined;
  }
}

function matches(value: unknown, shape: string | Shape): boolean {
  if (typeof shape === "string") return typeof value === shape;
  if (!(value instanceof Object)) return false;
  return Object.entries(shape).every(([field, kind]) => matches(value[field as keyof typeof value], kind));
}
