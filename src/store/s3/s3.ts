import type { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { isTransient } from "../../aws/index.ts";
import {
  anyFunction,
  findOptionFault,
  type OptionChecks,
  text,
  withMethods,
} from "../../internal/options.ts";
import { assertBlobKey, type BlobStore } from "../contracts/blobs.ts";
import { StoreError } from "../contracts/errors.ts";

/** Options of `s3BlobStore`. */
export interface S3BlobStoreOptions {
  /** An existing, private bucket whose CORS rules allow PUT and GET from the page's origin. */
  readonly bucket: string;
  /** Prefix of every key, such as `blobs/`: up to 200 letters, digits, `-`, `_`, `.` and `/`. Default: none. */
  readonly prefix?: string;
  /** AWS region. Default: from the environment. */
  readonly region?: string;
  /** A client of the AWS SDK. Default: one of the store's own. `region` does not apply to it. */
  readonly client?: S3Client;
  /** Returns ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

const CHECKS: OptionChecks<S3BlobStoreOptions> = {
  bucket: text,
  prefix: {
    test: (value) => typeof value === "string" && /^[\w./-]{0,200}$/.test(value),
    expected: "up to 200 letters, digits, -, _, . and /",
  },
  region: text,
  client: withMethods("send"),
  now: anyFunction,
};

/** S3's maximum lifetime of a signed URL. */
const MAX_SECONDS = 7 * 24 * 60 * 60;

/**
 * Creates a blob store in an S3 bucket, or in a compatible service. It signs URLs locally, without a call to S3. The
 * AWS SDK is loaded with the first URL.
 *
 * A URL is valid for `expiresInMs` in whole seconds, at most 7 days, and no longer than the credentials that signed
 * it.
 * @throws {StoreError} INVALID_OPTION here. Its methods: STORE_REFUSED, and STORE_UNAVAILABLE if credentials could
 * not be loaded in time
 * @example
 * const blobs = s3BlobStore({ bucket: "chat-blobs", prefix: "blobs/" });
 */
export function s3BlobStore(options: S3BlobStoreOptions): BlobStore {
  const fault = findOptionFault(options, CHECKS, { required: ["bucket"] });
  if (fault !== undefined) throw new StoreError("INVALID_OPTION", fault);
  const { bucket, prefix = "", region, now = Date.now } = options;
  let { client } = options;

  /** Loads the SDK on first use, so that cold starts without blobs do not pay for it. */
  const load = async () => {
    const [s3, presigner] = await Promise.all([
      import("@aws-sdk/client-s3"),
      import("@aws-sdk/s3-request-presigner"),
    ]);
    client ??= new s3.S3Client(region === undefined ? {} : { region });
    return { ...s3, ...presigner, client };
  };

  const target = (key: string) => ({ Bucket: bucket, Key: `${prefix}${key}` });

  const terms = (expiresInMs: number) => ({
    expiresIn: Math.min(Math.floor(expiresInMs / 1_000), MAX_SECONDS),
    signingDate: new Date(now()),
  });

  return {
    createUpload: (key, { bytes, contentType }, expiresInMs) =>
      orStoreError(async () => {
        assertBlobKey(key);
        const { getSignedUrl, PutObjectCommand, client } = await load();
        const input = { ...target(key), ContentLength: bytes, ContentType: contentType };
        const command = new PutObjectCommand(input);
        withoutChecksum(command);
        const signableHeaders = new Set(["host", "content-length", "content-type"]);
        const url = await getSignedUrl(client, command, { ...terms(expiresInMs), signableHeaders });
        // `content-length` follows from the body; browsers do not let pages set it.
        return { url, headers: { "content-type": contentType } };
      }),

    createDownloadUrl: (key, expiresInMs) =>
      orStoreError(async () => {
        assertBlobKey(key);
        const { getSignedUrl, GetObjectCommand, client } = await load();
        // Downloads never open as pages: an uploaded page would run on the bucket's origin and reach its other
        // objects.
        const input = { ...target(key), ResponseContentDisposition: "attachment" };
        return getSignedUrl(client, new GetObjectCommand(input), terms(expiresInMs));
      }),
  };
}

/**
 * Removes the checksum headers. By default the SDK signs the checksum of an empty body, and services reject any other
 * upload. This does not change the client's own setting, because the client may be the application's.
 * Seen in https://github.com/seaweedfs/seaweedfs/issues/10216.
 */
function withoutChecksum(command: PutObjectCommand): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: { [name: string]: string } };
      for (const name of Object.keys(headers)) {
        if (/^x-amz-(checksum-|sdk-checksum-)/i.test(name)) delete headers[name];
      }
      return next(args);
    },
    { step: "build", priority: "low", name: "withoutChecksumMiddleware" },
  );
}

async function orStoreError<Result>(sign: () => Promise<Result>): Promise<Result> {
  try {
    return await sign();
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    const code = isTransient(cause) ? "STORE_UNAVAILABLE" : "STORE_REFUSED";
    throw new StoreError(code, "Signing the blob's URL failed; check the credentials", { cause });
  }
}
