import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AwsCredentials } from "./credentials.ts";
import { ALGORITHM, type SignableRequest, SigningKey, type SigningScope } from "./signature.ts";

/** A received request, with the parts that a signature covers. */
export interface SignedRequest {
  readonly method: string;
  /** As on the request line: path and query, percent-encoded. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

const SERVICE = "execute-api";
const MAX_CLOCK_SKEW_MS = 5 * 60 * 1000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 +Credential=([^/,\s]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, *SignedHeaders=([a-z0-9;_-]+), *Signature=([0-9a-f]{64})$/;

/** Returns the access key and the service that a request is signed for, unverified. */
export function readCredential(
  authorization: string | undefined,
): { readonly accessKeyId: string; readonly service: string } | undefined {
  const [, accessKeyId, , , service] = AUTHORIZATION.exec(authorization ?? "") ?? [];
  return accessKeyId === undefined || service === undefined ? undefined : { accessKeyId, service };
}

/**
 * Returns whether a request is signed for `execute-api`. Without credentials any well-formed signature passes: as on AWS,
 * the caller has to sign, but there is no secret to compare with.
 * @param now ms since the epoch; the signature's time may differ by five minutes
 * @param region the API's region; a signature for another one is refused. Default: any
 */
export function isSigned(
  request: SignedRequest,
  credentials: readonly AwsCredentials[],
  now: number,
  region?: string,
): boolean {
  const match = AUTHORIZATION.exec(request.headers.authorization ?? "");
  if (!match) return false;
  const [accessKeyId, date, signedRegion, service, signedHeaders, signature] = match.slice(1) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (service !== SERVICE) return false;
  if (credentials.length === 0) return true;
  if (region !== undefined && signedRegion !== region) return false;
  const secret = credentials.find((candidate) => candidate.accessKeyId === accessKeyId)?.secretAccessKey;
  const time = String(request.headers["x-amz-date"] ?? "");
  if (secret === undefined || !isCurrent(time, now) || !time.startsWith(date)) return false;
  const names = signedHeaders.split(";");
  if (!names.includes("host")) return false;
  const key = new SigningKey(secret, { date, region: signedRegion, service });
  return timingSafeEqual(
    key.sign(toSignable(request, names, hash("sha256", request.body)), time),
    Buffer.from(signature, "hex"),
  );
}

/** The signature in the query of a presigned URL, not verified. */
interface Presigned {
  readonly accessKeyId: string;
  readonly scope: SigningScope;
  readonly time: string;
  readonly expiresInMs: number;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const CREDENTIAL = /^([^/]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request$/;

/** Reads the signature in the query of a URL. Returns `undefined` for a URL that is not presigned. */
export function readPresigned(url: string): Presigned | undefined {
  const query = new URLSearchParams(url.split("?", 2)[1]);
  const of = (name: string) => query.get(`X-Amz-${name}`) ?? "";
  const [, accessKeyId, date, region, service] = CREDENTIAL.exec(of("Credential")) ?? [];
  const signature = of("Signature");
  if (accessKeyId === undefined || of("Algorithm") !== ALGORITHM || !/^[0-9a-f]{64}$/.test(signature)) {
    return undefined;
  }
  return {
    accessKeyId,
    scope: { date: date!, region: region!, service: service! },
    time: of("Date"),
    expiresInMs: Number(of("Expires")) * 1_000,
    signedHeaders: of("SignedHeaders").split(";"),
    signature,
  };
}

/**
 * Verifies the signature of a presigned request. Its body is not signed.
 * Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" in S3's API reference.
 * @param now ms since the epoch
 */
export function verifyPresigned(
  request: Omit<SignedRequest, "body">,
  { scope, time, expiresInMs, signedHeaders, signature }: Presigned,
  secret: string,
  now: number,
): "valid" | "expired" | "invalid" {
  const signedAt = parseTime(time);
  if (signedAt === undefined || !time.startsWith(scope.date) || !signedHeaders.includes("host"))
    return "invalid";
  const [path = "/", query = ""] = request.url.split("?", 2);
  const unsigned = query.split("&").filter((pair) => !pair.startsWith("X-Amz-Signature="));
  const signable = toSignable(
    { ...request, url: `${path}?${unsigned.join("&")}` },
    signedHeaders,
    "UNSIGNED-PAYLOAD",
  );
  const expected = new SigningKey(secret, scope).sign(signable, time);
  if (!timingSafeEqual(expected, Buffer.from(signature, "hex"))) return "invalid";
  if (signedAt > now + MAX_CLOCK_SKEW_MS) return "invalid";
  return now <= signedAt + expiresInMs ? "valid" : "expired";
}

function isCurrent(time: string, now: number): boolean {
  const at = parseTime(time);
  return at !== undefined && Math.abs(now - at) <= MAX_CLOCK_SKEW_MS;
}

/** Parses the time of a signature, such as `20260102T030405Z`, to ms since the epoch. */
function parseTime(time: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, ...number[]];
  return Date.UTC(year, month! - 1, day, hour, minute, second);
}

function toSignable(
  { method, url, headers }: Omit<SignedRequest, "body">,
  names: readonly string[],
  payloadHash: string,
): SignableRequest {
  const [path = "/", query = ""] = url.split("?", 2);
  return {
    method,
    path,
    query: canonicalizeQuery(query),
    headers: names.map((name) => [name, normalizeSpaces(String(headers[name] ?? ""))]),
    payloadHash,
  };
}

function normalizeSpaces(value: string): string {
  return value.trim().replace(/ +/g, " ");
}

function canonicalizeQuery(query: string): string {
  const pairs = query === "" ? [] : query.split("&").map((pair) => (pair.includes("=") ? pair : `${pair}=`));
  return pairs.sort().join("&");
}
