import { hash } from "node:crypto";

export const ALGORITHM = "AWS4-HMAC-SHA256";

/** The parts of a request that a signature covers. */
export interface SignableRequest {
  readonly method: string;
  /** As on the request line, percent-encoded. */
  readonly path: string;
  /** Sorted `name=value` pairs, percent-encoded, joined by `&`. Default: no query. */
  readonly query?: string;
  /** Lowercase names, sorted, `host` included. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** SHA-256 of the body, hex. */
  readonly payloadHash: string;
}

/** The day, region and service for which a signing key is valid. */
export interface SigningScope {
  /** `YYYYMMDD` */
  readonly date: string;
  readonly region: string;
  /** As signatures spell it: `execute-api`, `dynamodb`. */
  readonly service: string;
}

/** A key that is derived from a secret for one scope. Deriving takes four HMACs, so callers cache the key. */
export class SigningKey {
  readonly scope: string;
  readonly #key: HmacKey;
  readonly #encodePath: (path: string) => string;

  constructor(secret: string, { date, region, service }: SigningScope) {
    this.#encodePath = service === "s3" ? (path) => path : encodePath;
    const parts = [date, region, service, "aws4_request"];
    this.scope = parts.join("/");
    const first = new HmacKey(Buffer.from(`AWS4${secret}`));
    this.#key = parts.reduce((key, part) => new HmacKey(key.sign(part)), first);
  }

  /**
   * Computes a request's Signature Version 4.
   * Source: "Create a signed AWS API request" in the IAM user guide.
   * @param time the `x-amz-date` header, such as `20260102T030405Z`
   */
  sign(request: SignableRequest, time: string): Buffer {
    const { method, path, query = "", headers, payloadHash } = request;
    let lines = "";
    let names = "";
    for (const [name, value] of headers) {
      lines += `${name}:${value}\n`;
      names += names === "" ? name : `;${name}`;
    }
    const canonicalRequest = `${method}\n${this.#encodePath(path)}\n${query}\n${lines}\n${names}\n${payloadHash}`;
    return this.#key.sign(`${ALGORITHM}\n${time}\n${this.scope}\n${hash("sha256", canonicalRequest)}`);
  }
}

/** Every service but S3 signs the path encoded once more than it is sent. A `%2F` in it becomes `%252F`, so it stays. */
function encodePath(path: string): string {
  return encodeURIComponent(path)
    .replaceAll("%2F", "/")
    .replace(/[!'()*]/g, percentEncode);
}

function percentEncode(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Block size of SHA-256, in bytes. */
const BLOCK = 64;
/** Length of a SHA-256 hash, in bytes. */
const HASH = 32;

/**
 * HMAC-SHA256 by two hashes. Each Hmac of node:crypto is an object outside of the heap; collecting ten thousand of them
 * costs more than the rest of signing. Source: RFC 2104.
 */
class HmacKey {
  readonly #inner = Buffer.alloc(BLOCK, 0x36);
  /** Ends with the inner hash. */
  readonly #outer = Buffer.alloc(BLOCK + HASH, 0x5c);

  constructor(key: Buffer) {
    const short = key.length > BLOCK ? hash("sha256", key, "buffer") : key;
    for (const [at, byte] of short.entries()) {
      this.#inner[at]! ^= byte;
      this.#outer[at]! ^= byte;
    }
  }

  sign(text: string): Buffer {
    const inside = Buffer.allocUnsafe(BLOCK + Buffer.byteLength(text));
    inside.set(this.#inner);
    inside.write(text, BLOCK);
    this.#outer.set(hash("sha256", inside, "buffer"), BLOCK);
    return hash("sha256", this.#outer, "buffer");
  }
}
