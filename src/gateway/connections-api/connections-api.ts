import type { IncomingMessage, ServerResponse } from "node:http";
import { type ConnectionInfo, ConnectionsError, type ConnectionsErrorCode } from "../../apigw/index.ts";
import { isSigned, readCredential } from "../../aws/index.ts";
import { readBody } from "../../internal/read-body.ts";
import type { GatewaySettings } from "../options.ts";
import { createId } from "../sockets/ids.ts";
import type { LocalConnections } from "./local-connections.ts";

/** The service's response to each error of the port. */
const ERROR_RESPONSES: { readonly [code in ConnectionsErrorCode]: readonly [status: number, type: string] } =
  {
    BAD_REQUEST: [400, "BadRequestException"],
    FORBIDDEN: [403, "ForbiddenException"],
    LIMIT_EXCEEDED: [429, "LimitExceededException"],
    PAYLOAD_TOO_LARGE: [413, "PayloadTooLargeException"],
    UNAVAILABLE: [503, "ServiceUnavailableException"],
  };

/** Parses `/{basePath}/@connections/{id}`, percent-encoded or not. The base path may be missing. */
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

/** The @connections API over HTTP: `POST`, `GET` and `DELETE /{basePath}/@connections/{id}`. */
export class ConnectionsApi {
  readonly #connections: LocalConnections;
  readonly #settings: GatewaySettings;

  constructor(connections: LocalConnections, settings: GatewaySettings) {
    this.#connections = connections;
    this.#settings = settings;
  }

  async handle(connectionId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await readMessage(request, this.#settings.limits.messageBytes);
      this.#authenticate(request, body);
      this.#authorize(connectionId, request);
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

  #authorize(connectionId: string, { method = "GET", headers }: IncomingMessage): void {
    const { accessKeyId = "" } = readCredential(headers.authorization) ?? {};
    const decision = this.#settings.authorizeCall?.({ accessKeyId, method, connectionId });
    if (decision?.allowed === false) throw new ConnectionsError("FORBIDDEN", decision.reason);
  }

  async #run(id: string, method: string | undefined, body: Buffer, response: ServerResponse): Promise<void> {
    switch (method) {
      case "POST":
        return (await this.#connections.post(id, body)) === "sent"
          ? respond(response, 200)
          : respondGone(response);
      case "GET": {
        const info = await this.#connections.get(id);
        return info ? respond(response, 200, toConnectionJson(info)) : respondGone(response);
      }
      case "DELETE":
        return (await this.#connections.disconnect(id)) ? respond(response, 204) : respondGone(response);
      default:
        throw forbidden();
    }
  }
}

/** Responds with 403, as the service does outside the stage and to an unknown path below it. */
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

/** @throws {ConnectionsError} PAYLOAD_TOO_LARGE, and the rest stays unread; UNAVAILABLE when the caller hangs up */
async function readMessage(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const body = await readBody(request, maxBytes).catch((cause: unknown) => {
    throw new ConnectionsError("UNAVAILABLE", "The connection closed before the request body was complete", {
      cause,
    });
  });
  if (body !== undefined) return body;
  throw new ConnectionsError("PAYLOAD_TOO_LARGE", `A message has at most ${maxBytes} bytes`);
}
