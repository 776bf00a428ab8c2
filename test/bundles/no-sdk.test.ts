// Packages in the bundle of a function with Lift and DynamoDB.
import { join } from "node:path";
import { build } from "esbuild";
import { expect, it } from "vitest";

async function packagesIn(code: string): Promise<string[]> {
  const { metafile } = await build({
    stdin: { contents: code, resolveDir: join(import.meta.dirname, "../..") },
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    conditions: ["@lift-ws/source"],
  });
  const names = Object.keys(metafile.inputs).map(
    (file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1],
  );
  return [...new Set(names.filter((name) => name !== undefined))];
}

const app = (store: string) => `
  import { Lift } from "lift-ws";
  import { dynamoDBConnectionStore } from "${store}";
  export const handler = new Lift({
    connectionStore: dynamoDBConnectionStore({ tableName: "t" }),
  }).webSocketHandler();`;

it("bundles no other package when DynamoDB is reached without the AWS SDK", async () => {
  expect(await packagesIn(app("lift-ws/store/dynamodb/no-sdk"))).toEqual([]);
});

it("bundles no other package for channels with a rate limit in memory", async () => {
  const code = `
    import { memoryChannelStore } from "lift-ws/store/memory";
    import { createStreamer } from "lift-ws/streamer";
    const channels = { room: { rate: { limit: 1, windowMs: 1_000 } } };
    export const handler = createStreamer({ channels, store: memoryChannelStore() }).app.webSocketHandler();`;
  expect(await packagesIn(code)).toEqual([]);
});

it("bundles the AWS SDK's DynamoDB client on request, and none for sending", async () => {
  const packages = await packagesIn(app("lift-ws/store/dynamodb"));
  expect(packages).toContain("@aws-sdk/client-dynamodb");
  expect(packages).not.toContain("@aws-sdk/client-apigatewaymanagementapi");
});
