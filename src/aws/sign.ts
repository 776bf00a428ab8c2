import { hash } from "node:crypto";
import type { AwsCredentials } from "./credentials.ts";

export interface SignerOptions {
  /** As signatures spell it: `execute-api`, `dynamodb`. */
  readonly service: string;
  readonly region: string;
}

/** The parts of a request that a signature covers. There is no query: no call of ours has one. */
export interface Signable {
  readonly method: string;
  /** As on the request line, percent-encoded. */
  readonly path: string;
  /** Names in small letters and in their order, `host` among them. */
  readonly headers: { readonly [name: string]: string };
  /** SHA-256, hex. */
  readonly payloadHash: string;
}

/** What a request carries when it is signed. */
export type SignedHeaders = { [name: string]: string };

const ALGORITHM = "AWS4-HMAC-SHA256";

/**
 * Signature Version 4. The key is derived once a day for each secret, so a request costs two hashes and an HMAC.
 * Source: "Create a signed AWS API request" in the IAM user guide.
 */
export class Signer {
  readonly #options: SignerOptions;
  #derived: { readonly secret: string; readonly date: string; readonly key: HmacKey } | undefined;

  constructor(options: SignerOptions) {
    this.#options = options;
  }

  /** @param now ms since the epoch */
  sign(request: Signable, credentials: AwsCredentials, now: number): SignedHeaders {
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const time = new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
    const headers: SignedHeaders = { ...request.headers, "x-amz-date": time };
    if (sessionToken !== undefined) headers["x-amz-security-token"] = sessionToken;
    const names = Object.keys(headers).sort();
    const signed = names.join(";");
    const canonical = [
      request.method,
      encodedAgain(request.path),
      "",
      ...names.map((name) => `${name}:${headers[name]}`),
      "",
      signed,
      request.payloadHash,
    ].join("\n");
    const date = time.slice(0, 8);
    const scope = `${date}/${this.#options.region}/${this.#options.service}/aws4_request`;
    const text = `${ALGORITHM}\n${time}\n${scope}\n${hash("sha256", canonical)}`;
    const signature = this.#key(secretAccessKey, date).sign(text).toString("hex");
    headers.authorization = `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
    return headers;
  }

  #key(secret: string, date: string): HmacKey {
    if (this.#derived?.secret !== secret || this.#derived.date !== date) {
      const { region, service } = this.#options;
      const parts = [date, region, service, "aws4_request"];
      const first = new HmacKey(Buffer.from(`AWS4${secret}`));
      const key = parts.reduce((derived, part) => new HmacKey(derived.sign(part)), first);
      this.#derived = { secret, date, key };
    }
    return this.#derived.key;
  }
}

/** Every service but S3 signs the path encoded once more than it is sent. */
function encodedAgain(path: string): string {
  return path
    .split("/")
    .map((segment) => encodeURIComponent(segment).replace(/[!'()*]/g, percentEncoded))
    .join("/");
}

function percentEncoded(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Bytes that SHA-256 hashes at a time. */
const BLOCK = 64;

/**
 * HMAC-SHA256 by two hashes: each Hmac of node:crypto is an object outside of the heap, and ten thousand of them cost
 * more in collecting than all else in signing. Source: RFC 2104.
 */
class HmacKey {
  readonly #inner = Buffer.alloc(BLOCK, 0x36);
  readonly #outer = Buffer.alloc(BLOCK, 0x5c);

  constructor(key: Buffer) {
    const short = key.length > BLOCK ? hash("sha256", key, "buffer") : key;
    for (const [at, byte] of short.entries()) {
      this.#inner[at]! ^= byte;
      this.#outer[at]! ^= byte;
    }
  }

  sign(text: string): Buffer {
    const inside = hash("sha256", Buffer.concat([this.#inner, Buffer.from(text)]), "buffer");
    return hash("sha256", Buffer.concat([this.#outer, inside]), "buffer");
  }
}
