import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { Folder } from "./folder.ts";
import type { Grant, Grants } from "./grants.ts";

/** Maximum number of connections; further ones are closed. */
const MAX_CONNECTIONS = 100;
/** Time limit of a request with its body, in ms. */
export const REQUEST_MS = 300_000;

/** Any page may use a URL that it has: the signed URL is the authorization. */
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, PUT",
  "access-control-allow-headers": "content-type",
  "access-control-max-age": "600",
};

/** Downloads never open as pages: an uploaded page would run on this origin, which has the blobs of other users. */
const INERT = { "content-disposition": "attachment", "x-content-type-options": "nosniff" };

/** Serves PUT and GET of blobs with signed URLs on 127.0.0.1. It does not keep the process alive. */
export class BlobServer {
  readonly #folder: Folder;
  readonly #grants: Grants;
  readonly #server: Server;
  readonly #underWay = new Set<Promise<void>>();

  constructor(folder: Folder, grants: Grants) {
    this.#folder = folder;
    this.#grants = grants;
    this.#server = createServer({ requestTimeout: REQUEST_MS }, (request, response) => {
      const answered = this.#answer(request, response).catch(() => void response.destroy());
      this.#underWay.add(answered);
      void answered.finally(() => this.#underWay.delete(answered));
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Starts the server. Resolves to its origin. */
  async listen(): Promise<string> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    this.#server.unref();
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Aborts transfers and stops the server. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await Promise.all([closed, ...this.#underWay]);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = "" } = request;
    if (method === "OPTIONS") return end(response, 204);
    if (method !== "PUT" && method !== "GET")
      return end(response, 405, "Method not allowed; use GET or PUT", { allow: "GET, PUT" });
    const grant = this.#grants.read(method, url);
    if (grant === undefined) return end(response, 403, "Invalid or expired URL; request a new one");
    return grant.method === "PUT" ? this.#put(grant, request, response) : this.#get(grant, response);
  }

  async #put(
    { key, bytes, contentType }: Grant & { method: "PUT" },
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { "content-length": length, "content-type": type } = request.headers;
    // Node reads at most this many bytes, and aborts a request that ends earlier.
    if (length === undefined) return end(response, 411, "Missing Content-Length");
    if (length !== String(bytes))
      return end(response, 403, `Wrong size; the URL is signed for ${bytes} bytes`);
    if (type !== contentType)
      return end(response, 403, `Wrong content type; the URL is signed for ${contentType}`);
    try {
      await this.#folder.write(key, contentType, request);
    } catch {
      return end(response, 500, "Blob could not be stored");
    }
    end(response, 200);
  }

  async #get({ key }: Grant, response: ServerResponse): Promise<void> {
    const blob = await this.#folder.read(key).catch(() => "unreadable" as const);
    if (blob === "unreadable") return end(response, 500, "Blob could not be read");
    if (blob === undefined) return end(response, 404, "Blob not found");
    const { contentType, bytes, content } = blob;
    const headers = { ...CORS, ...INERT, "content-type": contentType, "content-length": bytes };
    response.writeHead(200, headers);
    await pipeline(content, response);
  }
}

function end(
  response: ServerResponse,
  status: number,
  text = "",
  headers: { [name: string]: string } = {},
): void {
  response.writeHead(status, { ...CORS, ...INERT, "content-type": "text/plain", ...headers });
  response.end(text);
}
