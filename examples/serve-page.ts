import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";

const TYPES: { readonly [extension: string]: string } = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

// Nothing from elsewhere, no markup from strings, and no other page around this one.
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
  /** Makes a token for whoever asks. Absent: `POST /token` answers 403. */
  readonly mint: ((sub: string, tenant: string) => Promise<string>) | undefined;
  /** Whether a request's `Host` may be trusted to be this machine. */
  readonly isLoopback: (host: string) => boolean;
}

/** By path. */
export type Files = ReadonlyMap<string, { readonly type: string; readonly body: string | Uint8Array }>;
export type PageHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** An example's page, and `POST /token` for it. */
export function servePage(files: Files, options: PageOptions): PageHandler {
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "/";
    const file = files.get(path);
    if (path === "/token") {
      answerToken(request, options).then(
        ([status, body]) => send(response, status, "application/json", JSON.stringify(body)),
        () => send(response, 500, "application/json", '{"message":"No token could be made"}'),
      );
    } else if (file === undefined) {
      send(response, 404, "text/plain", "There is nothing here\n");
    } else if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, 405, "text/plain", "Only to be read\n");
    } else {
      send(response, 200, file.type, file.body);
    }
  };
}

/** By its name's end. */
export function fileType(name: string): string {
  return TYPES[name.slice(name.lastIndexOf(".") + 1)]!;
}

type Answer = readonly [status: number, body: { readonly token: string } | { readonly message: string }];

async function answerToken(request: IncomingMessage, { mint, isLoopback }: PageOptions): Promise<Answer> {
  if (request.method !== "POST") return [405, { message: "POST a name and a tenant" }];
  if (mint === undefined) {
    const remedy = "Others can reach this server, so it makes and takes no development tokens.";
    return [403, { message: remedy }];
  }
  // Another site's page may reach loopback through the person's browser: by a name of its own that it points
  // here (the Host gives it away), or across origins (the Origin does).
  const { host = "", origin } = request.headers;
  if (!isLoopback(hostname(host)) || (origin !== undefined && origin !== `http://${host}`)) {
    return [403, { message: "Tokens are for this server's own page" }];
  }
  const person = Person.safeParse(await readJson(request));
  if (!person.success) return [400, { message: "A name and a team have 1 to 32 characters each" }];
  return [200, { token: await mint(person.data.name, person.data.tenant) }];
}

function hostname(host: string): string {
  return URL.parse(`http://${host}`)?.hostname ?? "";
}

/** `undefined`: too long, or not JSON. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Not destroyed when left early: whoever sends too much is still answered.
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
