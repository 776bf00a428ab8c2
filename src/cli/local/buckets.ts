import { createHash } from "node:crypto";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { crc32 } from "node:zlib";
import { readCredential, readPresigned, verifyPresigned } from "../../aws/index.ts";
import { readBody } from "../../internal/read-body.ts";
import { isUnknown, type ResolvedResource } from "../../lambda-emulator/index.ts";
import { assertCorsRules, corsHeaders } from "./bucket-cors.ts";
import { type PropertyReader, show } from "./properties.ts";
import type { Callers, Decision } from "./roles.ts";
import type { Stack } from "./stack.ts";

/** Largest object, in bytes, because all objects are in memory. S3 takes 5 GB in one PUT. */
const MAX_OBJECT_BYTES = 100 * 2 ** 20;
/** S3's maximum of keys in one page of a list. */
const MAX_KEYS = 1_000;

/** Properties of a bucket that change what S3 does, and not what this does. */
const NOT_RUN: { readonly [property: string]: string } = {
  LifecycleConfiguration: "lifecycle rules of a bucket",
  NotificationConfiguration: "notifications of a bucket",
  ReplicationConfiguration: "the replication of a bucket",
  VersioningConfiguration: "versions of objects",
  WebsiteConfiguration: "the website of a bucket",
};

/** Headers of an upload that S3 keeps and sends with each download. */
const KEPT_HEADERS = /^(cache-control|content-(disposition|language|type)|expires|x-amz-meta-.+)$/;
/** Query parameters that choose no other operation. */
const PLAIN_PARAMETERS =
  /^(x-id|x-amz-.+|response-.+|list-type|prefix|delimiter|max-keys|start-after|continuation-token|encoding-type|fetch-owner)$/i;

interface StoredObject {
  readonly body: Buffer;
  /** As uploaded: the type and the object's metadata. */
  readonly headers: { readonly [name: string]: string };
  readonly etag: string;
  /** ms since the epoch. */
  readonly modifiedAt: number;
}

interface Bucket {
  readonly resource: ResolvedResource;
  readonly objects: Map<string, StoredObject>;
}

/** A request, with the object that it names. */
interface ObjectRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly bucket: Bucket;
  /** Empty for the bucket itself. */
  readonly key: string;
  readonly query: URLSearchParams;
}

/** Options of `StackBuckets`. */
export interface BucketsOptions {
  readonly callers: Callers;
  /** Receives a line for each request that is refused. */
  readonly onRefused: (line: string) => void;
  /** Returns ms since the epoch. */
  readonly now: () => number;
}

class S3Error extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * The buckets of a stack. Their objects are in memory, and end with the stack. Serves uploads, downloads, deletions and lists
 * with path-style URLs, to functions and, by presigned URLs and CORS, to pages.
 */
export class StackBuckets {
  readonly #buckets: ReadonlyMap<string, Bucket>;
  readonly #options: BucketsOptions;
  readonly #partition: string;

  constructor(stack: Stack, options: BucketsOptions) {
    const resources = stack.ofType("AWS::S3::Bucket");
    this.#buckets = new Map(resources.map((resource) => [resource.ref, { resource, objects: new Map() }]));
    this.#options = options;
    this.#partition = stack.template.stack.partition;
    for (const resource of resources) {
      const { logicalId, properties } = resource;
      assertBucketName(stack, resource);
      assertCorsRules(stack, resource);
      for (const [property, reason] of Object.entries(NOT_RUN)) {
        if (properties[property] !== undefined) stack.skip(logicalId, reason);
      }
    }
  }

  get names(): string[] {
    return [...this.#buckets.keys()];
  }

  /** Whether a request is one to S3: signed for it, presigned, or the preflight of a page. */
  handles({ method, url = "", headers }: IncomingMessage): boolean {
    if (headers.authorization !== undefined) return readCredential(headers.authorization)?.service === "s3";
    return method === "OPTIONS" || readPresigned(url)?.scope.service === "s3";
  }

  /** Answers a request to S3. Rejects only when the client hangs up. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { bucketName, key, query } = readTarget(request);
      const bucket = this.#buckets.get(bucketName);
      if (bucket === undefined) {
        throw new S3Error(404, "NoSuchBucket", `The stack has no bucket ${JSON.stringify(bucketName)}`);
      }
      const target = { request, response, bucket, key, query };
      if (request.method === "OPTIONS") return this.#preflight(target);
      setHeaders(response, corsHeaders(bucket.resource, request, request.method ?? ""));
      await this.#answer(target);
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      this.#options.onRefused(`S3 ${request.method} ${request.url?.split("?", 1)[0]}: ${error.message}`);
      refuse(request, response, error);
    }
  }

  #preflight({ request, response, bucket }: ObjectRequest): void {
    const method = String(request.headers["access-control-request-method"] ?? "");
    const headers = corsHeaders(bucket.resource, request, method);
    if (Object.keys(headers).length === 0) {
      const message = `No CORS rule of the bucket ${bucket.resource.logicalId} allows ${method} from ${request.headers.origin}`;
      throw new S3Error(403, "AccessForbidden", message);
    }
    response.writeHead(200, headers).end();
  }

  async #answer(target: ObjectRequest): Promise<void> {
    const { request, key, query } = target;
    const copies = "x-amz-copy-source" in request.headers ? ["x-amz-copy-source"] : [];
    const [other] = [...copies, ...[...query.keys()].filter((name) => !PLAIN_PARAMETERS.test(name))];
    const operation = `${request.method} ${key === "" ? "bucket" : "object"}`;
    if (other === undefined) {
      switch (operation) {
        case "GET object":
        case "HEAD object":
          return this.#get(target);
        case "PUT object":
          return this.#put(target);
        case "DELETE object":
          return this.#delete(target);
        case "GET bucket":
          if (query.get("list-type") === "2") return this.#list(target);
      }
    }
    const named = other === undefined ? operation : `${operation} with ${other}`;
    throw new S3Error(501, "NotImplemented", `lift-ws local does not run this operation of S3: ${named}`);
  }

  #get(target: ObjectRequest): void {
    const { request, response, bucket, key, query } = target;
    this.#authorize(target, "s3:GetObject");
    const object = bucket.objects.get(key);
    if (object === undefined) throw this.#missing(target);
    const { body, etag, modifiedAt } = object;
    const range = readRange(request.headers.range, body.length);
    const part = range === undefined ? body : body.subarray(range.start, range.end + 1);
    const headers: OutgoingHttpHeaders = {
      ...object.headers,
      etag,
      "last-modified": new Date(modifiedAt).toUTCString(),
      "accept-ranges": "bytes",
      "content-length": part.length,
      ...(range && { "content-range": `bytes ${range.start}-${range.end}/${body.length}` }),
    };
    for (const [name, value] of query) {
      if (name.startsWith("response-")) headers[name.slice("response-".length)] = value;
    }
    response.writeHead(range === undefined ? 200 : 206, headers);
    response.end(request.method === "HEAD" ? undefined : part);
  }

  async #put(target: ObjectRequest): Promise<void> {
    const { request, response, bucket, key, query } = target;
    this.#authorize(target, "s3:PutObject");
    const { headers } = request;
    if ((headers["content-length"] ?? headers["x-amz-decoded-content-length"]) === undefined) {
      throw new S3Error(411, "MissingContentLength", "An upload needs the header Content-Length");
    }
    if (headers["if-none-match"] === "*" && bucket.objects.has(key)) {
      throw new S3Error(412, "PreconditionFailed", "The object exists");
    }
    const received = await readBody(request, MAX_OBJECT_BYTES);
    if (received === undefined) {
      const message = `An object has at most ${MAX_OBJECT_BYTES} bytes here, because it is in memory`;
      throw new S3Error(400, "EntityTooLarge", message);
    }
    const isChunked = String(headers["x-amz-content-sha256"] ?? "").startsWith("STREAMING-");
    const body = isChunked ? joinChunks(received) : received;
    checkChecksum(String(headers["x-amz-checksum-crc32"] ?? query.get("x-amz-checksum-crc32") ?? ""), body);
    const kept = Object.entries(headers).filter(([name]) => KEPT_HEADERS.test(name));
    const etag = `"${createHash("md5").update(body).digest("hex")}"`;
    bucket.objects.set(key, {
      body,
      headers: {
        "content-type": "binary/octet-stream",
        ...(Object.fromEntries(kept) as { [name: string]: string }),
      },
      etag,
      modifiedAt: this.#options.now(),
    });
    response.writeHead(200, { etag, "content-length": 0 }).end();
  }

  #delete(target: ObjectRequest): void {
    this.#authorize(target, "s3:DeleteObject");
    target.bucket.objects.delete(target.key);
    target.response.writeHead(204).end();
  }

  #list(target: ObjectRequest): void {
    const { response, bucket, query } = target;
    this.#authorize(target, "s3:ListBucket");
    const prefix = query.get("prefix") ?? "";
    const delimiter = query.get("delimiter") ?? "";
    const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
    const max = Math.min(MAX_KEYS, Number(query.get("max-keys") ?? MAX_KEYS));
    const groups = new Set<string>();
    const entries: string[] = [];
    let last = "";
    let isTruncated = false;
    for (const key of [...bucket.objects.keys()].sort()) {
      if (!key.startsWith(prefix) || key <= after) continue;
      const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
      const group = end === -1 ? undefined : key.slice(0, end + delimiter.length);
      if (group !== undefined && (groups.has(group) || group === after)) continue;
      if (entries.length + groups.size >= max) {
        isTruncated = true;
        break;
      }
      if (group === undefined) entries.push(describe(key, bucket.objects.get(key)!));
      else groups.add(group);
      last = group ?? key;
    }
    const text = [
      '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
      element("Name", bucket.resource.ref),
      element("Prefix", prefix),
      element("MaxKeys", max),
      element("KeyCount", entries.length + groups.size),
      element("IsTruncated", isTruncated),
      ...(isTruncated ? [element("NextContinuationToken", last)] : []),
      ...entries,
      ...[...groups].map((group) => `<CommonPrefixes>${element("Prefix", group)}</CommonPrefixes>`),
      "</ListBucketResult>",
    ].join("");
    response.writeHead(200, { "content-type": "application/xml" }).end(text);
  }

  /** @throws {S3Error} for a request that its signer may not make */
  #authorize({ request, bucket, key }: ObjectRequest, action: string): void {
    const accessKeyId = this.#signerOf(request);
    const decision = this.#decide(accessKeyId, bucket, action, key);
    if (!decision.allowed) throw new S3Error(403, "AccessDenied", decision.reason);
  }

  /** @throws {S3Error} for a URL whose signature is not valid, or no longer */
  #signerOf({ method = "", url = "", headers }: IncomingMessage): string {
    const credential = readCredential(headers.authorization);
    if (credential !== undefined) return credential.accessKeyId;
    const presigned = readPresigned(url);
    if (presigned === undefined) throw new S3Error(403, "AccessDenied", "The request is not signed");
    const { callers, now } = this.#options;
    const caller = callers.all.find(({ accessKeyId }) => accessKeyId === presigned.accessKeyId);
    const verdict =
      caller && verifyPresigned({ method, url, headers }, presigned, caller.secretAccessKey, now());
    if (verdict === "expired") throw new S3Error(403, "AccessDenied", "Request has expired");
    if (verdict !== "valid") {
      const message =
        "The signature of the URL does not match: the method, the path, the query or a signed header was changed";
      throw new S3Error(403, "SignatureDoesNotMatch", message);
    }
    return presigned.accessKeyId;
  }

  #decide(accessKeyId: string, { resource }: Bucket, action: string, key: string): Decision {
    const arn = `arn:${this.#partition}:s3:::${resource.ref}${key === "" ? "" : `/${key}`}`;
    return this.#options.callers.decide(accessKeyId, { action, resource: arn });
  }

  /** S3 tells that an object does not exist only to those who may list the bucket. */
  #missing({ request, bucket, key }: ObjectRequest): S3Error {
    const { allowed } = this.#decide(this.#signerOf(request), bucket, "s3:ListBucket", "");
    if (allowed) return new S3Error(404, "NoSuchKey", `The object ${JSON.stringify(key)} does not exist`);
    const message = `The object ${JSON.stringify(key)} does not exist; S3 says only that access is denied, because s3:ListBucket is not allowed`;
    return new S3Error(403, "AccessDenied", message);
  }
}

/** "General purpose bucket naming rules" in S3's user guide. */
const NAME = /^(?!xn--|\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** @throws {TemplateError} TEMPLATE_INVALID */
function assertBucketName(stack: PropertyReader, resource: ResolvedResource): void {
  const { BucketName: name } = resource.properties;
  if (name === undefined || (typeof name === "string" && (NAME.test(name) || isUnknown(name)))) return;
  const message = `\`BucketName\` must be 3 to 63 lowercase letters, digits, dots and hyphens; got ${show(name)}`;
  throw stack.error("TEMPLATE_INVALID", message, resource);
}

/** @throws {S3Error} InvalidURI */
function readTarget({ url = "" }: IncomingMessage): {
  bucketName: string;
  key: string;
  query: URLSearchParams;
} {
  const [path = "", query] = url.split("?", 2);
  const [, bucketName = "", ...key] = path.split("/");
  try {
    return { bucketName, key: decodeURIComponent(key.join("/")), query: new URLSearchParams(query) };
  } catch {
    throw new S3Error(400, "InvalidURI", "The path is not percent-encoded UTF-8");
  }
}

/** Returns the range of a download, inclusive. Only a single range is served, as by S3. @throws {S3Error} InvalidRange */
function readRange(header: string | undefined, length: number): { start: number; end: number } | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || first + last === "") return undefined;
  const start = first === "" ? Math.max(0, length - Number(last)) : Number(first);
  const end = first === "" || last === "" ? length - 1 : Math.min(Number(last), length - 1);
  if (start <= end) return { start, end };
  throw new S3Error(416, "InvalidRange", `The object has ${length} bytes`);
}

/**
 * Joins the chunks of an upload that the SDK streams. Each has a line with its size before it; signatures and the
 * trailing checksum are not verified.
 * Source: "Signature calculations for the authorization header: transferring payload in multiple chunks" in S3's API reference.
 * @throws {S3Error} IncompleteBody
 */
function joinChunks(received: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = received.indexOf("\r\n", at);
    const [, size] = /^([0-9a-f]+)(;|$)/i.exec(received.toString("latin1", at, Math.max(at, lineEnd))) ?? [];
    const bytes = Number.parseInt(size ?? "", 16);
    const start = lineEnd + 2;
    if (Number.isNaN(bytes) || start + bytes > received.length) {
      throw new S3Error(400, "IncompleteBody", "The chunks of the body are incomplete");
    }
    if (bytes === 0) return Buffer.concat(chunks);
    chunks.push(received.subarray(start, start + bytes));
    at = start + bytes + 2;
  }
}

/** @throws {S3Error} BadDigest */
function checkChecksum(expected: string, body: Buffer): void {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  if (expected === "" || expected === sum.toString("base64")) return;
  throw new S3Error(400, "BadDigest", "The CRC32 that was signed or sent is not that of the body");
}

function setHeaders(response: ServerResponse, headers: { readonly [name: string]: string }): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

function describe(key: string, { body, etag, modifiedAt }: StoredObject): string {
  const fields = [
    element("Key", key),
    element("LastModified", new Date(modifiedAt).toISOString()),
    element("ETag", etag),
    element("Size", body.length),
    element("StorageClass", "STANDARD"),
  ];
  return `<Contents>${fields.join("")}</Contents>`;
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { status, code, message }: S3Error,
): void {
  // The rest of an upload is not read.
  if (!request.complete) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": "application/xml" });
  const error = `<Error>${element("Code", code)}${element("Message", message)}</Error>`;
  response.end(request.method === "HEAD" ? undefined : `<?xml version="1.0" encoding="UTF-8"?>\n${error}`);
}

function element(name: string, value: string | number | boolean): string {
  const text = String(value).replace(/[<>&"\r]/g, (char) => `&#${char.charCodeAt(0)};`);
  return `<${name}>${text}</${name}>`;
}
