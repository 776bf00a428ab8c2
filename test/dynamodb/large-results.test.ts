// A result that only fits into the blob store: the stack's bucket, its functions and their policies, run by `lift-ws local`.
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { mintDevelopmentToken } from "../../src/cli/index.ts";
import { createClient, requests } from "../../src/client/index.ts";
import { type Command, Project } from "../process/project.ts";

const LENGTH = 400_000;
const KEPT = 300_000;
const FILES = {
  "package.json": '{ "type": "module" }',
  "app.ts": `import { webSocketAuth } from "lift-ws/middleware/auth";
import { dynamoDBStores } from "lift-ws/store/dynamodb/no-sdk";
import { s3BlobStore } from "lift-ws/store/s3";
import { createStreamer } from "lift-ws/streamer";

const { LIFT_WS_DEVELOPMENT_SECRET: secret = "", BLOB_BUCKET: bucket = "" } = process.env;
const [issuer, audience] = ["lift-ws-development", "lift-ws-development"];
export const streamer = createStreamer({
  auth: webSocketAuth({ jwt: { algorithms: ["HS256"], secret, issuer, audience } }),
  ...dynamoDBStores(),
  blobs: s3BlobStore({ bucket }),
  channels: {},
}).request("export", { estimatedMs: 60_000 }, (input) => ({ rows: "x".repeat(Number(input)) }));
`,
  "stack.ts": `import { App, Stack } from "aws-cdk-lib";
import { Streamer } from "lift-ws/cdk";

new Streamer(new Stack(new App(), "Export"), "Streamer", { entry: "app.ts", blobs: true });
`,
};

let project: Project;
let lift: Command;

beforeAll(async () => {
  project = await Project.create(FILES);
  for (const name of ["aws-cdk-lib", "constructs", "esbuild"]) await project.install(name);
  const environment = { ...process.env, CDK_OUTDIR: join(project.directory, "cdk.out") };
  await promisify(execFile)(process.execPath, ["--conditions=@lift-ws/source", "stack.ts"], {
    cwd: project.directory,
    env: environment,
  });
  lift = project.run([
    ...["local", "cdk.out/Export.template.json", "--port", "0"],
    ...["--stack-name", `s${randomUUID().slice(0, 8)}`],
    ...["--dynamodb-endpoint", inject("dynamoDBEndpoint")],
  ]);
  await lift.prints(/^Routes/m);
});

afterAll(() => project?.remove());

async function connect(sub: string) {
  const token = await mintDevelopmentToken({ sub, tenant: "acme" }, join(project.directory, ".lift-ws"));
  const client = createClient({ url: lift.url, token, use: [requests()] });
  client.connect();
  return client;
}

it.each([KEPT - 1_000, LENGTH])(
  "reaches its requester and another device, and nobody else: %i bytes",
  async (length) => {
    const [ada, phone, bob] = [await connect("ada"), await connect("ada"), await connect("bob")];
    const id = `export-${length}`;
    const result = await ada.request("export", length, { id });
    expect(result).toEqual({ rows: "x".repeat(length) });
    expect(await phone.attach(id)).toEqual(result);
    await expect(bob.attach(id)).rejects.toMatchObject({ code: "NOT_FOUND" });
    for (const client of [ada, phone, bob]) client.disconnect();
  },
);
