import type { AwsCredentials } from "./credentials.ts";
import { ALGORITHM, SigningKey, type SigningScope } from "./signature.ts";

/** A request to sign. It has no query, because no request of ours has one. */
export interface UnsignedRequest {
  readonly method: string;
  /** As on the request line, percent-encoded. */
  readonly path: string;
  /** Lowercase names, `host` included. */
  readonly headers: { readonly [name: string]: string };
  /** SHA-256 of the body, hex. */
  readonly payloadHash: string;
}

/** The headers of a signed request. */
export type SignedHeaders = { [name: string]: string };

/** Signs requests to one service. The key is derived once a day per secret, so a request costs two hashes and an HMAC. */
export class Signer {
  readonly #options: Omit<SigningScope, "date">;
  #second = Number.NaN;
  #time = "";
  #cached: { readonly secret: string; readonly date: string; readonly key: SigningKey } | undefined;

  constructor(options: Omit<SigningScope, "date">) {
    this.#options = options;
  }

  /** @param now ms since the epoch */
  sign(request: UnsignedRequest, credentials: AwsCredentials, now: number): SignedHeaders {
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const time = this.#timestamp(now);
    const headers: SignedHeaders = { ...request.headers, "x-amz-date": time };
    if (sessionToken !== undefined) headers["x-amz-security-token"] = sessionToken;
    const names = Object.keys(headers).sort();
    const key = this.#getKey(secretAccessKey, time.slice(0, 8));
    const { method, path, payloadHash } = request;
    const sorted = names.map((name) => [name, headers[name]!] as const);
    const signature = key.sign({ method, path, headers: sorted, payloadHash }, time).toString("hex");
    const credential = `Credential=${accessKeyId}/${key.scope}`;
    headers.authorization = `${ALGORITHM} ${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
    return headers;
  }

  /** Cached for a second, because formatting a date takes longer than a hash. */
  #timestamp(now: number): string {
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#time = new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
    }
    return this.#time;
  }

  #getKey(secret: string, date: string): SigningKey {
    if (this.#cached?.secret !== secret || this.#cached.date !== date) {
      this.#cached = { secret, date, key: new SigningKey(secret, { ...this.#options, date }) };
    }
    return this.#cached.key;
  }
}
