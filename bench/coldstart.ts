/** Measures the time from a function's process start to its first response: the chat's connect bundle and equivalents. */
import { deepStrictEqual } from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SignJWT } from "jose";
import { LambdaFunction } from "../src/lambda-emulator/index.ts";
import { connectEvent } from "../src/lift/testing/index.ts";
import { bundle } from "../tools/bundle.mjs";
import { atMost, type Findings, type Row } from "./lib/report.ts";
import { median, spread } from "./lib/stats.ts";

const SIDES = {
  lift: { name: "Lift, AWS SDK", entry: "../examples/chat/lambda/connect.ts" },
  noSdk: { name: "Lift, no SDK", entry: "children/connect-no-sdk.ts" },
  hand: { name: "by hand, AWS SDK", entry: "rivals/connect-by-hand.mjs" },
  middy: { name: "middy, AWS SDK", entry: "rivals/connect-middy.mjs" },
  empty: { name: "an empty function", entry: "rivals/connect-empty.mjs" },
} as const;
type SideKey = keyof typeof SIDES;
const KEYS = Object.keys(SIDES) as SideKey[];

const MAX_LIFT_KB = 25;

interface Side {
  readonly fn: () => LambdaFunction;
  readonly kilobytes: number;
  readonly liftKilobytes: number;
  /** ms */
  readonly samples: number[];
}

export async function coldstart(runs: number, progress: (line: string) => void): Promise<Findings> {
  const folder = await mkdtemp(join(tmpdir(), "lift-ws-bench-"));
  const dynamoDB = await startStub();
  try {
    const secret = randomBytes(32);
    const environment = environmentWith(secret, dynamoDB.endpoint);
    const event = connectEvent({ query: { token: await tokenFor(secret) } });
    const sides = await makeSides(folder, environment);
    // One run without a measurement, so that the files of all sides are in the disk cache.
    for (let run = 0; run <= runs; run++) {
      progress(run === 0 ? "coldstart: once to warm the disk" : `coldstart: sample ${run} of ${runs}`);
      for (const key of KEYS) {
        const sample = await startOnce(sides[key].fn(), event);
        if (run > 0) sides[key].samples.push(sample);
      }
      // All sides wrote the same row, except the empty function.
      for (const row of dynamoDB.takeRows(KEYS.length - 1)) deepStrictEqual(row, dynamoDB.first);
    }
    return evaluate(sides, runs);
  } finally {
    await dynamoDB.stop();
    await rm(folder, { recursive: true });
  }
}

async function makeSides(
  folder: string,
  environment: Record<string, string>,
): Promise<Record<SideKey, Side>> {
  const made = KEYS.map(async (key): Promise<[SideKey, Side]> => {
    const directory = join(folder, key);
    const { bytes, lift } = await bundle(
      fileURLToPath(new URL(SIDES[key].entry, import.meta.url)),
      directory,
    );
    const fn = () => new LambdaFunction({ name: key, directory, environment });
    return [key, { fn, kilobytes: bytes / 1000, liftKilobytes: lift / 1000, samples: [] }];
  });
  return Object.fromEntries(await Promise.all(made)) as Record<SideKey, Side>;
}

async function startOnce(fn: LambdaFunction, event: object): Promise<number> {
  const start = performance.now();
  const answer = (await fn.invoke(event)) as { statusCode: number };
  const total = performance.now() - start;
  await fn.stop();
  if (answer.statusCode !== 200) throw new Error(`refused with ${answer.statusCode}`);
  return total;
}

function environmentWith(secret: Buffer, dynamoDB: string): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: "bench",
    AWS_SECRET_ACCESS_KEY: "bench",
    AWS_ENDPOINT_URL_DYNAMODB: dynamoDB,
    CONNECTIONS_TABLE: "connections",
    SCHEDULE_TABLE: "schedule",
    TOKEN_SECRET: secret.toString("base64url"),
    TOKEN_ISSUER: "bench",
    TOKEN_AUDIENCE: "bench",
  };
}

function tokenFor(secret: Buffer): Promise<string> {
  return (
    new SignJWT({ tenant_id: "bench" })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject("ann")
      .setIssuer("bench")
      .setAudience("bench")
      // Longer than a connection lives, so that no expiry is scheduled.
      .setExpirationTime("3h")
      .sign(secret)
  );
}

/** A DynamoDB stub that accepts every row at once, so that the time of an engine is not measured. */
async function startStub() {
  let rows: unknown[] = [];
  let first: unknown;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const { Item } = JSON.parse(Buffer.concat(chunks).toString()) as { Item: unknown };
    first ??= Item;
    rows.push(Item);
    response.writeHead(200, { "content-type": "application/x-amz-json-1.0" }).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get first() {
      return first;
    },
    /** Returns the rows written since the last call. Throws when their number differs. */
    takeRows(count: number): unknown[] {
      const taken = rows;
      rows = [];
      if (taken.length !== count)
        throw new Error(`Expected a row from each of ${count} sides, got ${taken.length}`);
      return taken;
    },
    stop: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function evaluate(sides: Record<SideKey, Side>, runs: number): Findings {
  const ratio = (key: SideKey) => median(sides[key].samples) / median(sides.hand.samples);
  return {
    measure: "coldstart",
    runs,
    rows: KEYS.map(
      (key): Row => ({
        side: SIDES[key].name,
        ms: median(sides[key].samples),
        "± %": spread(sides[key].samples),
        "of by hand": ratio(key),
        "bundle kB": sides[key].kilobytes,
        "Lift's share kB": sides[key].liftKilobytes,
      }),
    ),
    targets: [
      atMost("cold start of Lift, of by hand", 1.1, ratio("lift")),
      atMost("cold start of Lift without the SDK, of by hand", 0.6, ratio("noSdk")),
      atMost("Lift's own share of a bundle", MAX_LIFT_KB, sides.lift.liftKilobytes, " kB"),
    ],
    notes: [
      "From the start of the function's process, under the Lambda Runtime API, to the response to its first event: a",
      "$connect that checks the token and writes the row, the same for all sides, to a DynamoDB stub that accepts it at once.",
      "tools/bundle.mjs bundles all with the same options. The empty function shows the time of Node and the runtime alone.",
    ],
  };
}
