import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";

const TYPES: { readonly [extension: string]: string } = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

// Only own resources, no markup from strings, no embedding in other pages.
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-cache",
};

const MAX_REQUEST_BYTES = 1024;
const Person = z.object({ name: z.string().trim().min(1).max(32), tenant: z.string().trim().min(1).max(32) });

export interface PageOptions {
  /** Creates a token for the given user and tenant. `undefined`: `POST /token` answers 403. */
  readonly mint: ((sub: string, tenant: string) => Promise<string>) | undefined;
  /** The API's stage. Default `dev`. */
  readonly stage?: string | undefined;
  /** Tells whether a host name means this machine. */
  readonly isLoopback: (host: string) => boolean;
}

/** The page's files by path. */
export type Files = ReadonlyMap<string, { readonly type: string; readonly body: string | Uint8Array }>;
export type PageHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Serves the page's files, and `POST /token`, which creates development tokens. */
export function servePage(files: Files, options: PageOptions): PageHandler {
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "/";
    const file = files.get(path);
    if (path === "/token") {
      answerToken(request, options).then(
        ([status, body]) => send(response, status, "application/json", JSON.stringify(body)),
        () => send(response, 500, "application/json", '{"message":"Could not create a token"}'),
      );
    } else if (file === undefined) {
      send(response, 404, "text/plain", "Not found\n");
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, 405, "text/plain", "Use GET or HEAD\n");
    } else {
      send(response, 200, file.type, file.body);
    }
  };
}

/** Returns the media type for a file name, by its extension. */
export function fileType(name: string): string {
  return TYPES[name.slice(name.lastIndexOf(".") + 1)]!;
}

type Answer = readonly [status: number, body: { readonly token: string } | { readonly message: string }];

async function answerToken(request: IncomingMessage, { mint, isLoopback }: PageOptions): Promise<Answer> {
  if (request.method !== "POST") return [405, { message: "POST a name and a tenant" }];
  if (mint === undefined) {
    const remedy = "This server is reachable from other machines, so it creates no development tokens.";
    return [403, { message: remedy }];
  }
  // A page of another site can reach loopback through the user's browser. It uses its own domain name that
  // points here, which `Host` reveals, or a request across origins, which `Origin` reveals.
  const { host = "", origin } = request.headers;
  if (!isLoopback(hostname(host)) || (origin !== undefined && origin !== `http://${host}`)) {
    return [403, { message: "Only this server's own page may request tokens" }];
  }
  const person = Person.safeParse(await readJson(request));
  if (!person.success) return [400, { message: "A name and a team have 1 to 32 characters each" }];
  return [200, { token: await mint(person.data.name, person.data.tenant) }];
}

function hostname(host: string): string {
  return URL.parse(`http://${host}`)?.hostname ?? "";
}

/** Returns `undefined` if the body is too long or is not JSON. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Keeps the request open when the loop ends early, so that a client that sent too much gets an answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_REQUEST_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, status: number, type: string, body: string | Uint8Array): void {
  response.writeHead(status, { ...HEADERS, "Content-Type": type });
  response.end(body);
}
