import type { ServerMessage } from "../protocol/index.ts";

type Fields = { readonly [name: string]: unknown };

/**
 * Reads a server's message: as much of it as the client goes by. `undefined`: it is none, or of a type not known here;
 * the service itself sends such, of a function that has failed. The protocol's own reader checks every field of every
 * value, which a page would pay for in bytes and with every message.
 */
export function read(data: unknown): ServerMessage | undefined {
  const message = parse(data);
  const { type, request_id: id } = message;
  const fits =
    (type === "response" && typeof id === "string" && isObject(message.data)) ||
    (type === "error" && (id === undefined || typeof id === "string") && isError(message.error)) ||
    (isNamed(message) &&
      ((type === "message" && isPosition(message.position)) ||
        ((type === "presence" || type === "stream_ended") && typeof message.user === "string") ||
        (type === "stream_started" && isObject(message.live)) ||
        (type === "viewers" && typeof message.count === "number")));
  return fits ? (message as unknown as ServerMessage) : undefined;
}

function parse(data: unknown): Fields {
  try {
    const value: unknown = JSON.parse(data as string);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isError(value: unknown): boolean {
  return isObject(value) && typeof value.code === "string" && typeof value.retry === "boolean";
}

function isNamed({ id, channel, at }: Fields): boolean {
  return typeof id === "string" && typeof channel === "string" && typeof at === "number";
}

function isPosition(value: unknown): boolean {
  return (
    value === undefined ||
    (isObject(value) && typeof value.epoch === "string" && Number.isSafeInteger(value.offset))
  );
}
