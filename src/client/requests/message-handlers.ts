import type { ServerMessage } from "../../protocol/index.ts";

/** The shape of a JSON value: the name of its `typeof`, an object with its required fields, or `[shape]` if it is optional. */
export type Shape = string | readonly [Shape] | { readonly [field: string]: Shape };

/** The fields of every message of a channel. */
export const PUSHED = { id: "string", channel: "string", at: "number" } as const;
/** The fields of a message about a user. */
export const BY_USER = { ...PUSHED, user: "string" } as const;
export const MESSAGE: Shape = { ...PUSHED, position: [{ epoch: "string", offset: "number" }] };

/** The shapes of answers. The `data` of a response is any JSON. */
export const ANSWERS: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ["response", { request_id: "string" }],
  ["error", { request_id: ["string"], error: { code: "string", retry: "boolean" } }],
]);

/** Handles the messages of each type, except the answers to the client's own requests. Features add theirs. */
export class MessageHandlers {
  readonly #shapes = new Map<string, Shape>(ANSWERS);
  readonly #handlers = new Map<string, (message: never) => void>();

  /** @param shape the fields that the handler relies on */
  on<Type extends ServerMessage["type"]>(
    type: Type,
    shape: Shape,
    handle: (message: Extract<ServerMessage, { type: Type }>) => void,
  ): void {
    this.#shapes.set(type, shape);
    this.#handlers.set(type, handle);
  }

  handle(message: ServerMessage): void {
    this.#handlers.get(message.type)?.(message as never);
  }

  /**
   * Parses a server's message. Checks only the fields that the client relies on: the protocol's parser checks every field,
   * and costs a page more bytes and time. Returns `undefined` for invalid messages and unhandled types; API Gateway itself
   * sends such a message after a function has failed.
   */
  parse(data: unknown): ServerMessage | undefined {
    try {
      const message = JSON.parse(data as string);
      const shape = this.#shapes.get(message.type);
      return shape && matches(message, shape) ? message : undefined;
    } catch {
      return undefined;
    }
  }
}

function matches(value: unknown, shape: Shape): boolean {
  if (typeof shape === "string") return typeof value === shape;
  if (Array.isArray(shape)) return value === undefined || matches(value, shape[0]);
  if (!(value instanceof Object)) return false;
  return Object.entries(shape).every(([field, kind]) => matches(value[field as keyof typeof value], kind));
}
