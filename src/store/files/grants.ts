import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** The right that a signed URL gives until it expires. */
export type Grant =
  | { readonly method: "PUT"; readonly key: string; readonly bytes: number; readonly contentType: string }
  | { readonly method: "GET"; readonly key: string };

/** Signs grants as paths with a query. The secret ends with the process. */
export class Grants {
  readonly #secret = randomBytes(32);
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  pathOf(grant: Grant, expiresInMs: number): string {
    const query = new URLSearchParams({ expires: String(this.#now() + expiresInMs) });
    if (grant.method === "PUT") {
      query.set("bytes", String(grant.bytes));
      query.set("type", grant.contentType);
    }
    query.set("signature", this.#sign(grant.method, grant.key, query).toString("base64url"));
    return `/${grant.key}?${query}`;
  }

  /** Returns the grant of a path, or `undefined` if its signature is invalid for the method, or it has expired. */
  read(method: "PUT" | "GET", path: string): Grant | undefined {
    const end = path.indexOf("?");
    const key = path.slice(1, end);
    const query = new URLSearchParams(path.slice(end));
    const signature = Buffer.from(query.get("signature") ?? "", "base64url");
    query.delete("signature");
    const expected = this.#sign(method, key, query);
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return undefined;
    if (Number(query.get("expires")) <= this.#now()) return undefined;
    if (method === "GET") return { method, key };
    return { method, key, bytes: Number(query.get("bytes")), contentType: query.get("type") ?? "" };
  }

  #sign(method: string, key: string, query: URLSearchParams): Buffer {
    return createHmac("sha256", this.#secret).update(`${method}\n${key}\n${query}`).digest();
  }
}
