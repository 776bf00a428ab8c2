/** From a function's process start to its first event answered: the chat's connect bundle, and others that do the same. */
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
  lean: { name: "Lift, lean transport", entry: "children/connect-lean.ts" },
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
    // Once unmeasured, so that no side is the first to read its files.
    for (let run = 0; run <= runs; run++) {
      progress(run === 0 ? "coldstart: once to warm the disk" : `coldstart: sample ${run} of ${runs}`);
      for (const key of KEYS) {
        const sample = await startOnce(sides[key].fn(), event);
        if (run > 0) sides[key].samples.push(sample);
      }
      // All of them wrote the very same row; the empty one none.
      for (const row of dynamoDB.takeRows(KEYS.length - 1)) deepStrictEqual(row, dynamoDB.first);
    }
    return judge(sides, runs);
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
      // Longer than a connection lives: its end is none to be scheduled.
      .setExpirationTime("3h")
      .sign(secret)
  );
}

/** A DynamoDB that takes every row at once: the engine's own time is not what is measured. */
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
    /** Those that were written since; so many there must be. */
    takeRows(count: number): unknown[] {
      const taken = rows;
      rows = [];
      if (taken.length !== count) throw new Error(`${taken.length} rows were written by ${count} sides`);
      return taken;
    },
    stop: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function judge(sides: Record<SideKey, Side>, runs: number): Findings {
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
      atMost("cold start of Lift with the lean transport, of by hand", 0.6, ratio("lean")),
      atMost("Lift's own share of a bundle", MAX_LIFT_KB, sides.lift.liftKilobytes, " kB"),
    ],
    notes: [
      "From the start of the function's process, under the Lambda Runtime API, to the answer of its first event: a",
      "$connect whose token is checked and whose row is written, the same row by all, to a DynamoDB that takes it at once.",
      "All are bundled with the same flags, by tools/bundle.mjs. Node and the runtime alone take what the empty one does.",
    ],
  };
}
