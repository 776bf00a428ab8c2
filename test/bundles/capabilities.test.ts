// The price of each capability: the bytes of this package that it adds to a bundle, in kB, and the packages that it brings.
import { join } from "node:path";
import { build, type Metafile } from "esbuild";
import { afterAll, describe, expect, it } from "vitest";
import { OPTIONS } from "../../tools/bundle.mjs";

const ROOT = join(import.meta.dirname, "../..");

/** Files and their bytes in a bundle. */
type Files = ReadonlyMap<string, number>;

async function filesOf(input: { readonly code: string } | { readonly entry: string }): Promise<Files> {
  const { metafile } = await build({
    ...OPTIONS,
    absWorkingDir: ROOT,
    outdir: "unused",
    ...("code" in input
      ? { stdin: { contents: input.code, resolveDir: ROOT } }
      : { entryPoints: [input.entry] }),
  });
  return new Map(
    Object.values((metafile as Metafile).outputs)
      .flatMap(({ inputs }) => Object.entries(inputs))
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([file, { bytesInOutput }]) => [file, bytesInOutput]),
  );
}

/** Returns the kB of the files that match. */
function kilobytes(files: Files, pattern = /^src\//): number {
  const bytes = [...files].filter(([file]) => pattern.test(file)).reduce((sum, [, size]) => sum + size, 0);
  return bytes / 1_000;
}

function packagesIn(files: Files): string[] {
  const names = [...files.keys()].map((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** The prices, printed at the end. */
const prices: string[] = [];

/** Checks the price of a capability against its limit, in kB. */
function expectPrice(capability: string, price: number, limit: number): void {
  prices.push(`${capability.padEnd(34)}${price.toFixed(1).padStart(5)} of ${limit} kB`);
  expect(price).toBeGreaterThan(0);
  expect(price).toBeLessThanOrEqual(limit);
}

afterAll(() => console.info(prices.join("\n")));

const APP = 'import { Lift } from "lift-ws"; export const handler = new Lift().webSocketHandler();';
const app = await filesOf({ code: APP });

describe("an app without options", () => {
  // Every method of an app and of a context is in its bundle, called or not.
  const PARTS: readonly [capability: string, files: RegExp, kB: number][] = [
    [
      "routes, middleware and options",
      /lift\/(app|router|compose|next-tracker|options|connect\/options|message-action)\.|internal\/options\./,
      9.5,
    ],
    [
      "events and results",
      /lift\/(context|app-context|event-input|handler|connect\/event|result|deadline|validate)\.|apigw\/(events|results)\.|internal\/(http-token|parsed-message|hidden-failures)\./,
      11,
    ],
    ["errors and their frames", /lift\/(errors|event-failure|connections\/error-frames)\./, 5],
    ["connection state", /lift\/(event-state|json)\.|src\/store\/contracts\//, 3.5],
    [
      "sending",
      /lift\/connections\/(aws|transport|websocket|broadcast|by-endpoint|gone|connection-age)\.|apigw\/(broadcast|recipients|connections)\.|src\/aws\/|internal\/(elapsed|sent)\./,
      15,
    ],
    [
      "scheduled work and revocation",
      /lift\/(scheduler\/|connections\/(disconnect-all|close-with-error))/,
      6.3,
    ],
    ["logs without secrets", /lift\/logger\.|internal\/(redact|log-safely|sampler)\./, 6.5],
  ];

  it.each(PARTS)("pays for %s (%s) at most %s kB", (capability, files, kB) =>
    expectPrice(capability, kilobytes(app, files), kB),
  );

  it("pays for nothing else", () => {
    const matches = (file: string) => PARTS.filter(([, files]) => files.test(file)).length;
    expect([...app.keys()].filter((file) => file.startsWith("src/") && matches(file) !== 1)).toEqual([]);
    expect(packagesIn(app)).toEqual([]);
  });
});

describe("an app pays in addition for", () => {
  const lift = (options: string, middleware = "") =>
    `new Lift({ ${options} }).use(${middleware}).webSocketHandler()`;
  it.each([
    [
      "connections in DynamoDB",
      18.2,
      "lift-ws/store/dynamodb/no-sdk",
      "dynamoDBConnectionStore",
      lift('connectionStore: it({ tableName: "t" })'),
      [],
    ],
    [
      "a schedule in DynamoDB",
      8.6,
      "lift-ws/store/dynamodb/no-sdk",
      "dynamoDBSchedule",
      lift('schedule: it({ tableName: "t" })'),
      [],
    ],
    [
      "connections in memory",
      3.3,
      "lift-ws/store/memory",
      "memoryConnectionStore",
      lift("connectionStore: it()"),
      [],
    ],
    [
      "authentication",
      14.1,
      "lift-ws/middleware/auth",
      "webSocketAuth",
      lift("", "it({ validateToken: String })"),
      ["jose"],
    ],
    ["permissions", 1.5, "lift-ws/middleware/auth", "requirePermission", lift("", 'it("write")'), []],
    [
      "a rate limit in memory",
      5.8,
      "lift-ws/middleware/rate-limit",
      "webSocketRateLimit",
      lift("", "it({ limit: 1, windowMs: 1_000 })"),
      [],
    ],
    ["a log line per event", 0.8, "lift-ws/middleware/logger", "webSocketLogger", lift("", "it()"), []],
    ["metrics", 2.1, "lift-ws/middleware/metrics", "webSocketMetrics", lift("", "it()"), []],
    ["the protocol's version check", 0.6, "lift-ws/streamer", "checkProtocolVersion", lift("", "it"), []],
  ])("%s at most %s kB", async (capability, kB, subpath, name, handler, packages) => {
    const code = `import { Lift } from "lift-ws"; import { ${name} as it } from "${subpath}"; export const handler = ${handler};`;
    const files = await filesOf({ code });
    expectPrice(`+ ${capability}`, kilobytes(files) - kilobytes(app), kB);
    expect(packagesIn(files)).toEqual(packages);
  });
});

describe("a function for $connect", () => {
  const connect = (options: string, imports = "") =>
    filesOf({
      code: `import { connectHandler } from "lift-ws"; ${imports} export const handler = connectHandler({ ${options} });`,
    });
  const store = 'import { dynamoDBConnectionStore as store } from "lift-ws/store/dynamodb/no-sdk";';
  const auth = 'import { connectAuth, webSocketAuth } from "lift-ws/middleware/auth";';

  it.each([
    ["events, errors and logs", 25, "", "", []],
    ["+ connections in DynamoDB", 27, store, 'connectionStore: store({ tableName: "t" })', []],
    ["+ connectAuth", 6, auth, "middleware: [connectAuth({ validateToken: String })]", []],
    ["+ webSocketAuth", 15, auth, "middleware: [webSocketAuth({ validateToken: String })]", ["jose"]],
  ])("pays for %s at most %s kB", async (capability, kB, imports, options, packages) => {
    const files = await connect(options, imports);
    const base = capability.startsWith("+") ? kilobytes(await connect("")) : 0;
    expectPrice(`$connect: ${capability}`, kilobytes(files) - base, kB);
    expect(packagesIn(files)).toEqual(packages);
  });

  it("has at most 25 kB of Lift in the chat", async () => {
    const files = await filesOf({ entry: "examples/chat/lambda/connect.ts" });
    expectPrice("$connect: Lift in the chat", kilobytes(files, /^src\/(lift|apigw)\//), 25);
  });

  it.each(["chat", "streamer"])(
    "of the %s has no route, message, schema, tick or channel",
    async (example) => {
      const files = await filesOf({ entry: `examples/${example}/lambda/connect.ts` });
      expect(packagesIn(files)).not.toContain("zod");
      expect(kilobytes(files, /^src\/lift\//)).toBeGreaterThan(0);
      const excess =
        /^src\/(lift\/(?:app|router|validate|scheduler|connections\/(?:aws|broadcast|websocket|gone))|streamer\/(?!connection\.|legacy-clients\.)|store\/dynamodb\/channels|protocol)|^examples\/.*\/app\./;
      expect([...files.keys()].filter((file) => excess.test(file))).toEqual([]);
    },
  );
});

describe("a bundle", () => {
  it("has no other package for channels with a rate limit in memory", async () => {
    const code = `
      import { memoryChannelStore } from "lift-ws/store/memory";
      import { createStreamer } from "lift-ws/streamer";
      const channels = { room: { rate: { limit: 1, windowMs: 1_000 } } };
      export const handler = createStreamer({ channels, store: memoryChannelStore() }).app.webSocketHandler();`;
    expect(packagesIn(await filesOf({ code }))).toEqual([]);
  });

  it("has the AWS SDK's DynamoDB client on request, and none for sending", async () => {
    const code = `
      import { Lift } from "lift-ws";
      import { dynamoDBConnectionStore } from "lift-ws/store/dynamodb";
      const connectionStore = dynamoDBConnectionStore({ tableName: "t" });
      export const handler = new Lift({ connectionStore }).webSocketHandler();`;
    const packages = packagesIn(await filesOf({ code }));
    expect(packages).toContain("@aws-sdk/client-dynamodb");
    expect(packages).not.toContain("@aws-sdk/client-apigatewaymanagementapi");
  });
});
