import { reportInput } from "../report.ts";
import type { Connection } from "./connections.ts";
import { acknowledgment, ClientError, complete, failure, response } from "./frames.ts";
import type { Services } from "./services.ts";

const MAX_ID_BYTES = 128;

interface Message {
  readonly id: string;
  readonly action: string;
  readonly payload: unknown;
}

/** The answer to a message: a frame for its sender, and the status of the event. */
export interface Answer {
  readonly frame: object;
  readonly statusCode: number;
}

export interface RawMessage {
  readonly connectionId: string;
  /** The event's. The answer has it if the message has no id. */
  readonly requestId: string;
  readonly body: string | undefined;
}

/** Handles every message of a client. Never rejects. */
export async function answerMessage(raw: RawMessage, services: Services): Promise<Answer> {
  const { connectionId, requestId, body } = raw;
  let id = requestId;
  try {
    const json = parseJson(body);
    id = readId(json) ?? requestId;
    const message = parseMessage(id, json);
    const connection = await requireConnection(connectionId, services);
    return { frame: await answer(message, connection, services), statusCode: 200 };
  } catch (error) {
    const isClients = error instanceof ClientError;
    services.log(isClients ? "warn" : "error", "A message failed", { connectionId, requestId: id, error });
    const shown = isClients ? error : { code: "INTERNAL_ERROR", message: "Internal server error" };
    return { frame: failure(id, shown), statusCode: isClients ? 400 : 500 };
  }
}

async function requireConnection(connectionId: string, { connections }: Services): Promise<Connection> {
  const connection = await connections.get(connectionId);
  if (connection === undefined) throw new ClientError("UNAUTHORIZED", "Connect again");
  if (connection.tokenExpiresAt > Date.now()) return connection;
  throw new ClientError("TOKEN_EXPIRED", "The token has expired");
}

function parseJson(body = ""): { readonly [field: string]: unknown } {
  try {
    const json = JSON.parse(body) as unknown;
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return { ...json };
  } catch {}
  throw new ClientError("VALIDATION_ERROR", "The message is not a JSON object");
}

function readId({ id, request_id }: { readonly [field: string]: unknown }): string | undefined {
  const given = id ?? request_id;
  if (given === undefined) return undefined;
  if (typeof given === "string" && given !== "" && Buffer.byteLength(given) <= MAX_ID_BYTES) return given;
  throw new ClientError("VALIDATION_ERROR", `\`id\` must be a text of 1 to ${MAX_ID_BYTES} bytes`);
}

function parseMessage(id: string, json: { readonly [field: string]: unknown }): Message {
  const { action, payload = null } = json;
  if (typeof action !== "string" || action === "") {
    throw new ClientError("VALIDATION_ERROR", "`action` must be a text");
  }
  return { id, action, payload };
}

/** Returns the frame that answers a message. */
async function answer(message: Message, connection: Connection, services: Services): Promise<object> {
  switch (message.action) {
    case "echo":
      return response(message.id, { echo: message.payload });
    case "generate_report":
      return storeRequest(message, connection, services);
    case "request":
      return readRequest(message, connection, services);
    default:
      throw new ClientError("INVALID_ACTION", "There is no such action");
  }
}

async function storeRequest(message: Message, connection: Connection, services: Services): Promise<object> {
  const { id, action, payload } = message;
  const input = reportInput.safeParse(payload);
  if (!input.success) {
    const { path, message: text } = input.error.issues[0]!;
    throw new ClientError("VALIDATION_ERROR", `payload.${path.join(".")}: ${text}`);
  }
  const { userId, tenantId, id: connectionId, endpoint } = connection;
  const request = { userId, tenantId, id, action, input: input.data, connectionId, endpoint };
  const outcome = await services.requests.create(request);
  if (outcome === "conflict")
    throw new ClientError("VALIDATION_ERROR", "The `id` belongs to another request");
  const stored = outcome === "exists" ? await services.requests.get(request) : undefined;
  if (stored?.state === "COMPLETED") return complete(id, stored.result);
  if (stored?.error !== undefined) return failure(id, stored.error);
  return acknowledgment(id);
}

async function readRequest(
  { id, payload }: Message,
  { userId, tenantId }: Connection,
  { requests }: Services,
): Promise<object> {
  const asked = (payload as { request?: unknown } | null)?.request;
  if (typeof asked !== "string" || asked === "") {
    throw new ClientError("VALIDATION_ERROR", "`payload.request` must be a text");
  }
  const found = await requests.get({ userId, tenantId, id: asked });
  if (found === undefined) throw new ClientError("NOT_FOUND", "There is no such request");
  const { action, state, attempt, progress, result, error } = found;
  return response(id, { id: asked, action, state, attempt, progress, result, error });
}
