import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { crc32 } from "node:zlib";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

interface PresignedRequest {
  readonly method: string;
  /** The target of the request line. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Whether S3 would accept a presigned request at that time, by its documentation.
 * Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" in S3's API reference.
 */
export function isPresigned(request: PresignedRequest, credentials: Credentials, now: number): boolean {
  const [path = "", search] = request.url.split("?");
  const query = new URLSearchParams(search);
  const of = (name: string) => query.get(`X-Amz-${name}`) ?? "";
  const [accessKeyId, ...scope] = of("Credential").split("/");
  const names = of("SignedHeaders").split(";");
  const canonical = [
    request.method,
    path,
    [...query]
      .filter(([name]) => name !== "X-Amz-Signature")
      .map((pair) => pair.map(encode).join("="))
      .sort()
      .join("&"),
    ...names.map((name) => `${name}:${request.headers[name] ?? ""}`),
    "",
    of("SignedHeaders"),
    "UNSIGNED-PAYLOAD",
  ].join("\n");
  const text = [of("Algorithm"), of("Date"), scope.join("/"), sha256(canonical)].join("\n");
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  const age = now - timeOf(of("Date"));
  return (
    of("Algorithm") === "AWS4-HMAC-SHA256" &&
    accessKeyId === credentials.accessKeyId &&
    scope.length === 4 &&
    scope[0] === of("Date").slice(0, 8) &&
    names.includes("host") &&
    age >= 0 &&
    age <= Number(of("Expires")) * 1_000 &&
    hmac(key, text).toString("hex") === of("Signature")
  );
}

/** A path-style S3 bucket that accepts presigned requests only. */
export async function fakeBucket(credentials: Credentials, now: () => number) {
  const objects = new Map<string, { readonly body: Buffer; readonly type: string }>();
  const server = createServer(async (request, response) => {
    const { method = "", url = "", headers } = request;
    const body = await buffer(request);
    const { pathname, searchParams: query } = new URL(`http://host${url}`);
    const object = objects.get(pathname);
    const checksum = query.get("x-amz-checksum-crc32");
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(body));
    if (!isPresigned({ method, url, headers }, credentials, now())) {
      response.writeHead(403).end();
    } else if (method === "PUT" && checksum !== null && checksum !== sum.toString("base64")) {
      response.writeHead(400).end();
    } else if (method === "PUT") {
      objects.set(pathname, { body, type: headers["content-type"] ?? "" });
      response.writeHead(200).end();
    } else if (method !== "GET") {
      response.writeHead(405).end();
    } else if (object === undefined) {
      response.writeHead(404).end();
    } else {
      const disposition = query.get("response-content-disposition");
      if (disposition !== null) response.setHeader("content-disposition", disposition);
      response.writeHead(200, { "content-type": object.type }).end(object.body);
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const close = async () => {
    server.closeAllConnections();
    await once(server.close(), "close");
  };
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** ms since the epoch. */
function timeOf(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\dZ)$/, "$1-$2-$3:$4:$5"));
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
