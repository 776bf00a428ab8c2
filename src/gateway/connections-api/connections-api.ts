import type { IncomingMessage, ServerResponse } from "node:http";
import { type ConnectionInfo, ConnectionsError, type ConnectionsErrorCode } from "../../apigw/index.ts";
import { isSigned } from "../../aws/index.ts";
import type { GatewaySettings } from "../options.ts";
import { createId } from "../sockets/ids.ts";
import type { LocalConnections } from "./local-connections.ts";

/** How the service answers each of the port's errors. */
const ERROR_RESPONSES: { readonly [code in ConnectionsErrorCode]: readonly [status: number, type: string] } =
  {
    BAD_REQUEST: [400, "BadRequestException"],
    FORBIDDEN: [403, "ForbiddenException"],
    LIMIT_EXCEEDED: [429, "LimitExceededException"],
    PAYLOAD_TOO_LARGE: [413, "PayloadTooLargeException"],
    UNAVAILABLE: [503, "ServiceUnavailableException"],
  };

/** A path `/{basePath}/@connections/{id}`, in any of its encodings, or one without a base path; else undefined. */
export function parseConnectionsPath(url: string): { basePath: string; connectionId: string } | undefined {
  const segments = (url.split("?", 1)[0] ?? "").split("/").slice(1);
  try {
    if (isConnectionsSegment(segments[0])) segments.unshift("");
    const [basePath, api, ...id] = segments;
    if (basePath === undefined || id.length === 0 || !isConnectionsSegment(api)) return undefined;
    return { basePath, connectionId: decodeURIComponent(id.join("/")) };
  } catch {
    return undefined;
  }
}

function isConnectionsSegment(segment = ""): boolean {
  return decodeURIComponent(segment) === "@connections";
}

/** Answers `POST|GET|DELETE /{basePath}/@connections/{id}` as the service does. */
export class ConnectionsApi {
  readonly #delivery: LocalConnections;
  readonly #settings: GatewaySettings;

  constructor(delivery: LocalConnections, settings: GatewaySettings) {
    this.#delivery = delivery;
    this.#settings = settings;
  }

  async handle(connectionId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await readBody(request, this.#settings.limits.messageBytes);
      this.#authenticate(request, body);
      await this.#run(connectionId, request.method, body, response);
    } catch (error) {
      if (!(error instanceof ConnectionsError)) throw error;
      const [status, type] = ERROR_RESPONSES[error.code];
      respond(response, status, { message: error.message }, type);
    }
  }

  #authenticate(request: IncomingMessage, body: Buffer): void {
    const { method = "GET", url = "/", headers } = request;
    const { credentials, clock, region } = this.#settings;
    if (!isSigned({ method, url, headers, body }, credentials, clock.now(), region)) throw forbidden();
  }

  async #run(id: string, method: string | undefined, body: Buffer, response: ServerResponse): Promise<void> {
    switch (method) {
      case "POST":
        return (await this.#delivery.post(id, body)) === "sent"
          ? respond(response, 200)
          : respondGone(response);
      case "GET": {
        const info = await this.#delivery.get(id);
        return info ? respond(response, 200, toConnectionJson(info)) : respondGone(response);
      }
      case "DELETE":
        return (await this.#delivery.disconnect(id)) ? respond(response, 204) : respondGone(response);
      default:
        throw forbidden();
    }
  }
}

/** What the service answers on its domain outside the stage, or below it where nothing is. */
export function respondForbidden(response: ServerResponse): void {
  respond(response, 403, { message: "Forbidden" }, ERROR_RESPONSES.FORBIDDEN[1]);
}

function forbidden(): ConnectionsError {
  return new ConnectionsError("FORBIDDEN", "Forbidden");
}

function respondGone(response: ServerResponse): void {
  respond(response, 410, undefined, "GoneException");
}

function toConnectionJson({ connectedAt, lastActiveAt, identity }: ConnectionInfo) {
  return {
    identity,
    connectedAt: new Date(connectedAt).toISOString(),
    lastActiveAt: new Date(lastActiveAt).toISOString(),
  };
}

function respond(response: ServerResponse, status: number, body?: object, errorType?: string): void {
  const text = body === undefined ? "" : JSON.stringify(body);
  response.writeHead(status, {
    ...(status !== 204 && { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
    "x-amzn-requestid": crypto.randomUUID(),
    "x-amz-apigw-id": createId(),
    ...(errorType && { "x-amzn-errortype": errorType }),
    ...(status === 413 && { connection: "close" }),
  });
  response.end(text);
}

/** @throws {ConnectionsError} PAYLOAD_TOO_LARGE, with the rest left unread; UNAVAILABLE when the caller hangs up */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    // Left open when it is cut short: the answer has to get out on the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      length += chunk.length;
      if (length > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new ConnectionsError("UNAVAILABLE", "The request's body did not arrive whole", { cause: error });
  }
  if (length > maxBytes)
    throw new ConnectionsError("PAYLOAD_TOO_LARGE", `A message has at most ${maxBytes} bytes`);
  return Buffer.concat(chunks);
}
