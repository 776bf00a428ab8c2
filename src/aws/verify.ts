import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AwsCredentials } from "./credentials.ts";

/** The parts of a request that Signature Version 4 covers. */
export interface SignedRequest {
  readonly method: string;
  /** As on the request line: path and query, percent-encoded. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

const SERVICE = "execute-api";
const MAX_SKEW_MS = 5 * 60 * 1000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 +Credential=([^/,\s]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, *SignedHeaders=([a-z0-9;_-]+), *Signature=([0-9a-f]{64})$/;

/**
 * Whether a request is signed for `execute-api`. Without credentials any well-formed signature passes: the caller only
 * has to sign, as on AWS.
 * Source: "Create a signed AWS API request" in the IAM user guide.
 * @param region the API's; a signature for another one is refused. Default: any
 */
export function isSigned(
  request: SignedRequest,
  credentials: readonly AwsCredentials[],
  now: number,
  region?: string,
): boolean {
  const match = AUTHORIZATION.exec(request.headers.authorization ?? "");
  if (!match) return false;
  const [, accessKeyId, date, signedRegion, service, signedHeaders, signature] = match as unknown as string[];
  if (service !== SERVICE) return false;
  if (credentials.length === 0) return true;
  if (region !== undefined && signedRegion !== region) return false;
  const secret = credentials.find((one) => one.accessKeyId === accessKeyId)?.secretAccessKey;
  const time = String(request.headers["x-amz-date"] ?? "");
  if (secret === undefined || !isCurrent(time, now) || !time.startsWith(date!)) return false;
  const names = signedHeaders!.split(";");
  if (!names.includes("host")) return false;
  const scope = `${date}/${signedRegion}/${service}/aws4_request`;
  const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonicalRequest(request, names))}`;
  const key = [date!, signedRegion!, service, "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return timingSafeEqual(hmac(key, text), Buffer.from(signature!, "hex"));
}

function isCurrent(time: string, now: number): boolean {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time);
  if (!match) return false;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, ...number[]];
  const at = Date.UTC(year, month! - 1, day, hour, minute, second);
  return Math.abs(now - at) <= MAX_SKEW_MS;
}

function canonicalRequest({ method, url, headers, body }: SignedRequest, names: readonly string[]): string {
  const [path = "/", query = ""] = url.split("?", 2);
  return [
    method,
    // Every service but S3 signs the path encoded once more than it is sent.
    path.split("/").map(encode).join("/"),
    canonicalQuery(query),
    ...names.map(
      (name) =>
        `${name}:${String(headers[name] ?? "")
          .trim()
          .replace(/ +/g, " ")}`,
    ),
    "",
    names.join(";"),
    sha256(body),
  ].join("\n");
}

function canonicalQuery(query: string): string {
  const pairs = query === "" ? [] : query.split("&").map((pair) => (pair.includes("=") ? pair : `${pair}=`));
  return pairs.sort().join("&");
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
