import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readStackWith } from "../../../test/support/read-stack.ts";
import { s3BlobStore } from "../../store/s3/index.ts";
import { type AwsEndpoint, serveAwsEndpoint } from "./aws-endpoint.ts";
import { StackBuckets } from "./buckets.ts";
import { Callers } from "./roles.ts";
import { readStack, type Stack } from "./stack.ts";

const FUNCTION = (name: string) => `
  ${name}:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: ${name.toLowerCase()}
      Runtime: nodejs24.x
      Role: !GetAtt ${name}Role.Arn
      Code: { ZipFile: 'exports.handler = async () => {};' }`;
const ROLE = (name: string, statements: string) => `
  ${name}Role:
    Type: AWS::IAM::Role
    Properties: { Policies: [{ PolicyName: Use, PolicyDocument: { Statement: [${statements}] } }] }`;
const TEMPLATE = `Resources:
  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { ProtocolType: WEBSOCKET } }
  Stage: { Type: AWS::ApiGatewayV2::Stage, Properties: { ApiId: !Ref Api, StageName: live } }
  Blobs:
    Type: AWS::S3::Bucket
    Properties:
      LifecycleConfiguration: { Rules: [] }
      CorsConfiguration:
        CorsRules:
          - AllowedOrigins: ['https://*.example.com']
            AllowedMethods: [PUT, GET]
            AllowedHeaders: [Content-Type]
            ExposedHeaders: [ETag]
            MaxAge: 600
  Private: { Type: AWS::S3::Bucket }
${ROLE("All", "{ Effect: Allow, Action: 's3:*', Resource: '*' }")}${FUNCTION("All")}
${ROLE("Blob", "{ Effect: Allow, Action: ['s3:GetObject', 's3:PutObject'], Resource: !Sub '${Blobs.Arn}/b/*' }")}${FUNCTION("Blob")}
`;
const PAGE = "https://chat.example.com";

let folder: string;
let stack: Stack;
let callers: Callers;
let endpoint: AwsEndpoint;
let now: number;
const refused: string[] = [];
const clients: S3Client[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lift-ws-buckets-"));
  const file = join(folder, "chat.yaml");
  writeFileSync(file, TEMPLATE);
  stack = readStack({ file, stackName: "chat", region: "us-east-1", parameters: {} });
});
afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(async () => {
  refused.length = 0;
  now = Date.now();
  callers = new Callers(stack);
  const onRefused = (line: string) => refused.push(line);
  endpoint = await serveAwsEndpoint({
    callers,
    stack: stack.template.stack,
    buckets: new StackBuckets(stack, { callers, onRefused, now: () => now }),
    tables: {
      region: "us-east-1",
      accountId: "0",
      partitionKey: () => undefined,
      streamArn: () => undefined,
    },
    dynamoDBEndpoint: undefined,
    lambdaEndpoint: "http://127.0.0.1:1",
    functionArn: (name) => name,
    putEvents: () => ({}),
    onRefused,
  });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await endpoint.stop();
});

/** The SDK's client, as a function of the stack has it. */
function clientOf(functionName: "all" | "blob"): S3Client {
  const { accessKeyId, secretAccessKey } = callers.of(functionName);
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ region: "us-east-1", endpoint: endpoint.url, credentials, maxAttempts: 1 });
  clients.push(client);
  return client;
}

const [BLOBS, PRIVATE] = ["chat-blobs", "chat-private"];

it("keeps objects with their type and metadata, and deletes them", async () => {
  const client = clientOf("all");
  const object = { Bucket: BLOBS, Key: "b/ä b+c.txt" };
  const Metadata = { by: "ada" };
  const put = await client.send(
    new PutObjectCommand({ ...object, Body: "hello", ContentType: "text/plain", Metadata }),
  );
  const read = await client.send(new GetObjectCommand(object));
  expect(read).toMatchObject({ ContentType: "text/plain", ContentLength: 5, Metadata, ETag: put.ETag });
  expect(await read.Body!.transformToString()).toBe("hello");
  const head = await client.send(new HeadObjectCommand(object));
  expect(head).toMatchObject({ ContentLength: 5, Metadata });
  const part = await client.send(new GetObjectCommand({ ...object, Range: "bytes=1-2" }));
  expect([await part.Body!.transformToString(), part.ContentRange]).toEqual(["el", "bytes 1-2/5"]);
  await client.send(new DeleteObjectCommand(object));
  await expect(client.send(new GetObjectCommand(object))).rejects.toMatchObject({ name: "NoSuchKey" });
});

it("keeps an object that the SDK streams", async () => {
  const client = clientOf("all");
  const object = { Bucket: BLOBS, Key: "stream" };
  const Body = Readable.from([Buffer.alloc(70_000, "a"), Buffer.from("end")]);
  await client.send(new PutObjectCommand({ ...object, Body, ContentLength: 70_003 }));
  const read = await client.send(new GetObjectCommand(object));
  expect(await read.Body!.transformToString()).toBe(`${"a".repeat(70_000)}end`);
});

it("lists objects by prefix, in pages and groups", async () => {
  const client = clientOf("all");
  for (const Key of ["b/1", "b/2/x", "b/2/y", "b/3", "c"]) {
    await client.send(new PutObjectCommand({ Bucket: BLOBS, Key, Body: Key }));
  }
  const list = async (options: object) => {
    const command = new ListObjectsV2Command({ Bucket: BLOBS, Prefix: "b/", ...options });
    const { Contents, CommonPrefixes, NextContinuationToken: next } = await client.send(command);
    return {
      keys: Contents?.map(({ Key }) => Key),
      groups: CommonPrefixes?.map(({ Prefix }) => Prefix),
      next,
    };
  };
  expect(await list({})).toEqual({ keys: ["b/1", "b/2/x", "b/2/y", "b/3"] });
  expect(await list({ Delimiter: "/", MaxKeys: 2 })).toEqual({
    keys: ["b/1"],
    groups: ["b/2/"],
    next: "b/2/",
  });
  expect(await list({ Delimiter: "/", ContinuationToken: "b/2/" })).toEqual({ keys: ["b/3"] });
  expect(await list({ Prefix: "none" })).toEqual({});
});

describe("a call that a role does not allow", () => {
  const denied = {
    name: "AccessDenied",
    message: expect.stringContaining("is not authorized to perform: s3:PutObject"),
  };

  it.each([
    ["another key", BLOBS, "other"],
    ["another bucket", PRIVATE, "b/1"],
  ])("is denied: %s", async (_, Bucket, Key) => {
    const put = new PutObjectCommand({ Bucket, Key, Body: "x" });
    await expect(clientOf("blob").send(put)).rejects.toMatchObject(denied);
    expect(refused.join()).toContain(`arn:aws:s3:::${Bucket}/${Key}`);
  });

  it("is denied to a missing object as well, because the bucket may not be listed", async () => {
    const get = new GetObjectCommand({ Bucket: BLOBS, Key: "b/none" });
    await expect(clientOf("blob").send(get)).rejects.toMatchObject({ name: "AccessDenied" });
  });
});

it.each([
  ["an unknown bucket", new GetObjectCommand({ Bucket: "other", Key: "k" }), "NoSuchBucket"],
  [
    "a range past the end",
    new GetObjectCommand({ Bucket: BLOBS, Key: "k", Range: "bytes=9-" }),
    "InvalidRange",
  ],
  [
    "an object that exists",
    new PutObjectCommand({ Bucket: BLOBS, Key: "k", Body: "y", IfNoneMatch: "*" }),
    "PreconditionFailed",
  ],
  [
    "another checksum",
    new PutObjectCommand({ Bucket: BLOBS, Key: "k", Body: "y", ChecksumCRC32: "AAAAAA==" }),
    "BadDigest",
  ],
])("refuses %s", async (_, command, name) => {
  const client = clientOf("all");
  await client.send(new PutObjectCommand({ Bucket: BLOBS, Key: "k", Body: "x" }));
  await expect(client.send(command as GetObjectCommand)).rejects.toMatchObject({ name });
});

it.each<[operation: string, command: { readonly input: object }]>([
  ["GET object with tagging", new GetObjectTaggingCommand({ Bucket: BLOBS, Key: "k" })],
  [
    "PUT object with x-amz-copy-source",
    new CopyObjectCommand({ Bucket: BLOBS, Key: "k", CopySource: "chat-blobs/j" }),
  ],
])("names an operation of S3 that it does not run: %s", async (operation, command) => {
  await expect(clientOf("all").send(command as never)).rejects.toMatchObject({
    name: "NotImplemented",
    message: `lift-ws local does not run this operation of S3: ${operation}`,
  });
});

describe("a page", () => {
  const BODY = "an image";

  async function upload(functionName: "all" | "blob" = "blob", prefix = "b/") {
    const store = s3BlobStore({ bucket: BLOBS, prefix, client: clientOf(functionName), now: () => now });
    const { url, headers } = await store.createUpload(
      "1",
      { bytes: BODY.length, contentType: "image/png" },
      60_000,
    );
    const download = await store.createDownloadUrl("1", 60_000);
    return { url, download, init: { method: "PUT", headers: { ...headers, origin: PAGE }, body: BODY } };
  }

  it("uploads and downloads by presigned URLs", async () => {
    const { url, download, init } = await upload();
    const preflight = await fetch(url, {
      method: "OPTIONS",
      headers: {
        origin: PAGE,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type",
      },
    });
    expect(preflight.status).toBe(200);
    expect(Object.fromEntries(preflight.headers)).toMatchObject({
      "access-control-allow-origin": PAGE,
      "access-control-allow-methods": "PUT, GET",
      "access-control-allow-headers": "content-type",
      "access-control-max-age": "600",
    });
    expect((await fetch(url, init)).status).toBe(200);
    const downloaded = await fetch(download, { headers: { origin: PAGE } });
    expect(await downloaded.text()).toBe(BODY);
    expect(Object.fromEntries(downloaded.headers)).toMatchObject({
      "access-control-allow-origin": PAGE,
      "access-control-expose-headers": "ETag",
      "content-disposition": "attachment",
      "content-type": "image/png",
    });
  });

  it.each([
    ["another size", (init: RequestInit) => ({ ...init, body: "another image" }), "SignatureDoesNotMatch"],
    [
      "another type",
      (init: RequestInit) => ({ ...init, headers: { "content-type": "text/html" } }),
      "SignatureDoesNotMatch",
    ],
    ["another method", () => ({ method: "DELETE" }), "SignatureDoesNotMatch"],
  ])("cannot use a URL for %s", async (_, change, code) => {
    const { url, init } = await upload();
    const response = await fetch(url, change(init));
    expect([response.status, await response.text()]).toEqual([
      403,
      expect.stringContaining(`<Code>${code}<`),
    ]);
  });

  it("cannot use a URL after its end, for another key, or of a role that lost its permission", async () => {
    const { url, init } = await upload();
    expect((await fetch(url.replace("/b/1?", "/b/2?"), init)).status).toBe(403);
    const other = await upload("blob", "c/");
    expect(await (await fetch(other.url, other.init)).text()).toContain("is not authorized");
    now += 60_001;
    expect(await (await fetch(url, init)).text()).toContain("Request has expired");
  });

  it("is refused by CORS, and the line names the bucket", async () => {
    const { url, init } = await upload();
    const asks = { "access-control-request-method": "PUT" };
    const preflight = (headers: { [name: string]: string }) => fetch(url, { method: "OPTIONS", headers });
    expect((await preflight({ ...asks, origin: "https://example.org" })).status).toBe(403);
    expect(
      (await preflight({ ...asks, origin: PAGE, "access-control-request-headers": "x-other" })).status,
    ).toBe(403);
    expect(refused[0]).toContain("No CORS rule of the bucket Blobs allows PUT from https://example.org");
    const put = await fetch(url, { ...init, headers: { ...init.headers, origin: "https://example.org" } });
    expect([put.status, put.headers.get("access-control-allow-origin")]).toEqual([200, null]);
  });
});

it("answers any request with a status of S3, and goes on", async () => {
  const { url } = endpoint;
  const parts = fc.array(
    fc.constantFrom("chat-blobs", "..", "%", "%41", "?", "list-type=2", "&", "/", "X-Amz-Signature="),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "PUT", "POST", "DELETE", "OPTIONS"),
      parts,
      async (method, path) => {
        const presigned =
          "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20260102%2Fus-east-1%2Fs3%2Faws4_request";
        const target = `${url}/${path.join("")}?${presigned}&X-Amz-Signature=${"0".repeat(64)}`;
        const response = await fetch(target, { method });
        expect(response.status).toBeGreaterThanOrEqual(400);
        expect(response.status).not.toBe(500);
      },
    ),
    { numRuns: 100 },
  );
});

it("lists what its buckets do not do", () => {
  new StackBuckets(stack, { callers, onRefused: () => {}, now: Date.now });
  expect(stack.notRun.get("lifecycle rules of a bucket")).toContain("Blobs");
});

it.each([
  [
    "BucketName: Photos",
    '`BucketName` must be 3 to 63 lowercase letters, digits, dots and hyphens; got "Photos"',
  ],
  ["BucketName: ab", "`BucketName` must be"],
  ["BucketName: 192.168.5.4", "`BucketName` must be"],
  ["BucketName: a..b", "`BucketName` must be"],
  [
    "BucketName: [photos]",
    '`BucketName` must be 3 to 63 lowercase letters, digits, dots and hyphens; got ["photos"]',
  ],
  ["CorsConfiguration: '*'", '`CorsConfiguration` must be a map; got "*"'],
  ["CorsConfiguration: {}", "`CorsRules` must be a list of rules; got nothing"],
  ["CorsConfiguration: { CorsRules: [a] }", '`CorsRules` must be a list of rules; got ["a"]'],
  ["CorsConfiguration: { CorsRules: [{ AllowedMethods: [GET] }] }", "A CORS rule needs `AllowedOrigins`"],
  [
    "CorsConfiguration: { CorsRules: [{ AllowedOrigins: ['*'], AllowedMethods: [GET, PATCH] }] }",
    '`AllowedMethods` must be of DELETE, GET, HEAD, POST, PUT; got ["GET","PATCH"]',
  ],
  ["CorsConfiguration: { CorsRules: [{ AllowedOrigins: ['*'] }] }", "`AllowedMethods` must be of"],
])("refuses a bucket with %s, and names it", (properties, message) => {
  const read = () => {
    const broken = readStackWith(`  Photos: { Type: AWS::S3::Bucket, Properties: { ${properties} } }\n`);
    return new StackBuckets(broken, { callers: new Callers(broken), onRefused() {}, now: Date.now });
  };
  expect(read).toThrow(`chat.yaml:4: Photos: ${message}`);
});

it.each(["BucketName: photos.example-1", "BucketName: !Ref Custom"])(
  "takes a bucket with %s",
  (properties) => {
    const good = readStackWith(
      `  Custom: { Type: Custom::Name }\n  Photos: { Type: AWS::S3::Bucket, Properties: { ${properties} } }\n`,
    );
    expect(
      () => new StackBuckets(good, { callers: new Callers(good), onRefused() {}, now: Date.now }),
    ).not.toThrow();
  },
);
