import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  cloudWatchSource,
  emfSides,
  memorySides,
  type ObservedWindow,
  prometheusSides,
  prometheusSource,
  type SideEvent,
} from "../index.ts";
import { NO_COUNTS } from "../stages/windows.ts";

const FROM = Date.UTC(2026, 10, 29, 10);
const TO = FROM + 120_000;
const { signal } = new AbortController();

const event = (fields: Partial<SideEvent> = {}): SideEvent => ({
  side: "new",
  event: "MESSAGE",
  stage: "prod",
  failed: false,
  durationMs: 3,
  ...fields,
});

const EVENTS = [
  event(),
  event({ durationMs: 5, failed: true }),
  event({ event: "CONNECT", durationMs: 50 }),
  event({ event: "CONNECT", durationMs: 50, failed: true }),
  event({ side: "old", event: "DISCONNECT", durationMs: 1 }),
];

const WINDOW: ObservedWindow = {
  from: FROM,
  to: TO,
  old: { ...NO_COUNTS, events: 1, latencies: 1, latencySum: 1, latencySquares: 1 },
  new: {
    events: 2,
    errors: 1,
    connects: 2,
    connectFailures: 1,
    latencies: 2,
    latencySum: 8,
    latencySquares: 34,
  },
};

interface Request {
  readonly headers: IncomingHttpHeaders;
  readonly url: string | undefined;
  readonly body: string;
}

/** A service that records requests. */
async function serve(answer: (body: string) => unknown, status = 200) {
  const requests: Request[] = [];
  const server = createServer(async (incoming, response) => {
    const { headers, url } = incoming;
    const body = await text(incoming);
    requests.push({ headers, url, body });
    const answered = answer(body);
    response.writeHead(status).end(typeof answered === "string" ? answered : JSON.stringify(answered));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const invalid = (message: string) =>
  expect.objectContaining({ code: "INVALID_METRICS", message: expect.stringContaining(message) });
const unavailable = expect.objectContaining({ code: "METRICS_UNAVAILABLE" });

describe("memorySides", () => {
  it("has the counts of the seconds from the start of a window to before its end", () => {
    let now = FROM;
    const sides = memorySides({ now: () => now });
    for (const each of EVENTS) {
      sides.record(each);
      now += 1_000;
    }
    now = TO;
    sides.record(event());
    expect(sides.read(FROM, TO, signal)).toEqual(WINDOW);
  });

  it("keeps the last two hours", () => {
    let now = FROM;
    const sides = memorySides({ now: () => now });
    for (let second = 0; second <= 7_200; second++) {
      sides.record(event());
      now += 1_000;
    }
    expect(sides.read(FROM, now, signal)).toMatchObject({ new: { events: 7_200 } });
  });

  it("throws for a window without events", () => {
    const sides = memorySides({ now: () => FROM });
    sides.record(event());
    const read = () => sides.read(FROM + 60_000, TO, signal);
    expect(read).toThrow(invalid("no events of either side from 2026-11-29T10:01:00.000Z"));
  });
});

/** Aggregates lines in the embedded metric format as CloudWatch does, and answers `GetMetricData`. */
function cloudWatch(lines: readonly string[]) {
  const values = (query: Query) => {
    const { Namespace, MetricName, Dimensions } = query.MetricStat.Metric;
    return lines.flatMap((line) => {
      const fields = JSON.parse(line);
      const [directive] = fields._aws.CloudWatchMetrics;
      const matches =
        directive.Namespace === Namespace &&
        directive.Metrics.some((metric: { readonly Name: string }) => metric.Name === MetricName) &&
        directive.Dimensions[0].join() === Dimensions.map(({ Name }) => Name).join() &&
        Dimensions.every(({ Name, Value }) => fields[Name] === Value);
      return matches ? [Number(fields[MetricName])] : [];
    });
  };
  return (body: string) => ({
    MetricDataResults: (JSON.parse(body).MetricDataQueries as readonly Query[]).map((query) => {
      const found = values(query);
      const sum = found.reduce((total, value) => total + value, 0);
      const value = query.MetricStat.Stat === "Sum" ? sum : found.length;
      const point = found.length === 0 ? [] : [value];
      return {
        Id: query.Id,
        Label: "",
        Timestamps: point.map(() => FROM / 1_000),
        Values: point,
        ...complete,
      };
    }),
  });
}

const complete = { StatusCode: "Complete" };

interface Query {
  readonly Id: string;
  readonly MetricStat: {
    readonly Metric: {
      readonly Namespace: string;
      readonly MetricName: string;
      readonly Dimensions: readonly { readonly Name: string; readonly Value: string }[];
    };
    readonly Stat: string;
  };
}

describe("cloudWatchSource", () => {
  const lines: string[] = [];
  const recorder = emfSides({ write: (line) => lines.push(line), now: () => FROM });
  for (const each of [...EVENTS, event({ stage: "test" })]) recorder.record(each);

  async function setUp(answer: (body: string) => unknown = cloudWatch(lines), status = 200) {
    const { url, requests } = await serve(answer, status);
    const target = {
      endpoint: url,
      region: "eu-west-1",
      credentials: { accessKeyId: "A", secretAccessKey: "s" },
    };
    return { requests, source: cloudWatchSource({ stage: "prod", timeoutMs: 2_000, ...target }) };
  }

  it("reads the window of both sides that `emfSides` wrote, with one signed request", async () => {
    const { source, requests } = await setUp();
    expect(await source.read(FROM, TO, signal)).toEqual(WINDOW);
    expect(requests).toHaveLength(1);
    expect(requests[0]?.headers).toMatchObject({
      "content-type": "application/x-amz-json-1.0",
      "x-amz-target": "GraniteServiceVersion20100801.GetMetricData",
      authorization: expect.stringContaining("/eu-west-1/monitoring/aws4_request"),
    });
  });

  // The members and limits of `GetMetricData` in the service's model. @aws-sdk/client-cloudwatch 3.1164 sends the same body and
  // the same headers for this input.
  it("asks with members of the service's model", async () => {
    const { source, requests } = await setUp();
    await source.read(FROM, TO, signal);
    const { MetricDataQueries, ...times } = JSON.parse(requests[0]?.body ?? "");
    expect(times).toEqual({ StartTime: FROM / 1_000, EndTime: TO / 1_000 });
    expect(MetricDataQueries).toHaveLength(14);
    expect(new Set(MetricDataQueries.map(({ Id }: Query) => Id)).size).toBe(14);
    for (const query of MetricDataQueries) {
      expect(query).toEqual({
        Id: expect.stringMatching(/^[a-z]\w{0,254}$/),
        MetricStat: {
          Metric: {
            Namespace: "LiftRollout",
            MetricName: expect.stringMatching(/^(Errors|ConnectFailures|Latency|LatencySquared)$/),
            Dimensions: [
              { Name: "Stage", Value: "prod" },
              { Name: "Side", Value: expect.stringMatching(/^(old|new)$/) },
            ],
          },
          Period: 60,
          Stat: expect.stringMatching(/^(Sum|SampleCount)$/),
        },
      });
    }
  });

  it("joins the pages of a result", async () => {
    const whole = cloudWatch(lines);
    const { source } = await setUp((body) => {
      const { MetricDataResults } = whole(body);
      const isFirst = JSON.parse(body).NextToken === undefined;
      if (!isFirst) return { MetricDataResults };
      const first = { ...MetricDataResults[0], Timestamps: [], Values: [], StatusCode: "PartialData" };
      return { MetricDataResults: [first], NextToken: "more" };
    });
    expect(await source.read(FROM, TO, signal)).toEqual(WINDOW);
  });

  it.each([
    ["nothing", "not JSON", unavailable],
    ["an empty object", {}, invalid("no `MetricDataResults`")],
    ["no results", { MetricDataResults: [] }, invalid("incomplete data")],
    ["unknown ids", { MetricDataResults: [{ Id: "a_b" }] }, invalid("an unknown `Id`")],
    ["text for results", { MetricDataResults: ["x"] }, invalid("an unknown `Id`")],
    [
      "times without values",
      { MetricDataResults: [{ Id: "old_events", Timestamps: [1], Values: [] }] },
      invalid("other `Timestamps`"),
    ],
    [
      "yesterday's data",
      { MetricDataResults: [{ Id: "old_events", Timestamps: [FROM / 1_000 - 86_400], Values: [5] }] },
      invalid("another time"),
    ],
  ])("rejects %s", async (_what, answer, error) => {
    const { source } = await setUp(() => answer);
    await expect(source.read(FROM, TO, signal)).rejects.toEqual(error);
  });

  it("rejects partial data, impossible numbers, and a window without events", async () => {
    const change = (fields: (id: string) => object) => (body: string) => ({
      MetricDataResults: cloudWatch(lines)(body).MetricDataResults.map((result) => ({
        ...result,
        ...fields(result.Id),
      })),
    });
    const partial = await setUp(change(() => ({ StatusCode: "PartialData" })));
    await expect(partial.source.read(FROM, TO, signal)).rejects.toEqual(invalid("incomplete data"));
    const impossible = await setUp(change((id) => (id === "new_errors" ? { Values: [9] } : {})));
    await expect(impossible.source.read(FROM, TO, signal)).rejects.toEqual(invalid("`new.errors` exceeds"));
    const empty = await setUp(cloudWatch([]));
    await expect(empty.source.read(FROM, TO, signal)).rejects.toEqual(invalid("no events of either side"));
  });

  it("rejects refusals, and windows that are not whole minutes", async () => {
    const { source } = await setUp(() => ({ __type: "AccessDeniedException" }), 400);
    await expect(source.read(FROM, TO, signal)).rejects.toEqual(
      expect.objectContaining({ message: expect.stringContaining("AccessDeniedException") }),
    );
    await expect(source.read(FROM, FROM + 5_000, signal)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

/** Answers a query as Prometheus does, from two pages that it scraped at the start and the end of the window. */
function prometheus(before: string, after: string) {
  const read = (page: string) =>
    new Map(
      [...page.matchAll(/^(\w+)\{side="(\w+)"\} (\S+)$/gm)].map((m) => [`${m[1]} ${m[2]}`, Number(m[3])]),
    );
  const [first, last] = [read(before), read(after)];
  return (body: string) => {
    const query = new URLSearchParams(body).get("query") ?? "";
    const result = [...query.matchAll(/increase\((\w+).*?"count", "(\w+)"/g)].flatMap(([, name, count]) =>
      ["old", "new"].map((side) => {
        const value = (last.get(`${name} ${side}`) ?? 0) - (first.get(`${name} ${side}`) ?? 0);
        return { metric: { side, count }, value: [TO / 1_000, String(value)] };
      }),
    );
    return { status: "success", data: { resultType: "vector", result } };
  };
}

describe("prometheusSource", () => {
  const sides = prometheusSides();
  sides.record(event({ durationMs: 7 }));
  const before = sides.page();
  for (const each of EVENTS) sides.record(each);
  const scrapes = prometheus(before, sides.page());

  it("reads the window of both sides that `prometheusSides` serves, with one request", async () => {
    const { url, requests } = await serve(scrapes);
    const headers = { authorization: "Bearer t" };
    const source = prometheusSource({ url: `${url}/base/`, labels: { job: 'a"b' }, headers });
    expect(await source.read(FROM, TO, signal)).toEqual(WINDOW);
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ url: "/base/api/v1/query", headers });
    const form = new URLSearchParams(requests[0]?.body);
    expect(form.get("time")).toBe(String(TO / 1_000));
    expect(form.get("query")).toContain(
      'label_replace(sum by (side) (increase(lift_rollout_errors_total{job="a\\"b"}[120000ms])), "count", "errors", "", "")',
    );
  });

  const vector = (sample: object) => ({
    status: "success",
    data: { resultType: "vector", result: [sample] },
  });
  const metric = { side: "new", count: "events" };

  it.each([
    ["text", "<html>", invalid("not JSON")],
    ["an error", { status: "error", error: "bad" }, invalid("another result")],
    [
      "another type",
      { status: "success", data: { resultType: "matrix", result: [] } },
      invalid("another result"),
    ],
    ["no samples", { status: "success", data: { resultType: "vector", result: [] } }, invalid("no events")],
    [
      "unknown labels",
      vector({ metric: { side: "__proto__" }, value: [1, "1"] }),
      invalid("an unknown sample"),
    ],
    ["yesterday's samples", vector({ metric, value: [TO / 1_000 - 86_400, "9"] }), invalid("another time")],
    ["NaN", vector({ metric, value: [TO / 1_000, "NaN"] }), invalid("nonsense")],
    [
      "more errors than events",
      vector({ metric: { side: "new", count: "errors" }, value: [TO / 1_000, "5"] }),
      invalid("nonsense"),
    ],
  ])("rejects %s", async (_what, answer, error) => {
    const { url } = await serve(() => answer);
    await expect(prometheusSource({ url }).read(FROM, TO, signal)).rejects.toEqual(error);
  });

  it("says why the server refused", async () => {
    const { url } = await serve(() => ({ status: "error", error: `bad label${"!".repeat(1_000)}` }), 400);
    await expect(prometheusSource({ url }).read(FROM, TO, signal)).rejects.toMatchObject({
      code: "METRICS_UNAVAILABLE",
      message: expect.stringMatching(/^Prometheus does not answer: status 400: bad label!{191}$/),
    });
    const { url: broken } = await serve(() => null, 400);
    await expect(prometheusSource({ url: broken }).read(FROM, TO, signal)).rejects.toEqual(unavailable);
  });

  it("rejects refusals, and a server that does not answer", async () => {
    const { url } = await serve(() => "no", 403);
    await expect(prometheusSource({ url }).read(FROM, TO, signal)).rejects.toEqual(unavailable);
    await expect(prometheusSource({ url: "http://127.0.0.1:50000" }).read(FROM, TO, signal)).rejects.toEqual(
      expect.objectContaining({
        code: "METRICS_UNAVAILABLE",
        message: expect.stringContaining("ECONNREFUSED"),
      }),
    );
  });

  it("accepts counts that differ by extrapolation a little, and leaves latencies without a variance out", async () => {
    const value = (count: string, number: string) => ({
      metric: { side: "new", count },
      value: [TO / 1_000, number],
    });
    const result = [
      value("events", "10"),
      value("errors", "10.4"),
      value("latencies", "10"),
      value("latencySum", "100"),
      value("latencySquares", "990"),
    ];
    const { url } = await serve(() => ({ status: "success", data: { resultType: "vector", result } }));
    const window = await prometheusSource({ url }).read(FROM, TO, signal);
    expect(window.new).toMatchObject({
      events: 10,
      errors: 10,
      latencies: 0,
      latencySum: 0,
      latencySquares: 0,
    });
  });
});

it("sources and recorders reject unknown and invalid options", () => {
  const code = expect.objectContaining({ code: "INVALID_OPTION" });
  expect(() => cloudWatchSource({} as never)).toThrow(code);
  expect(() => cloudWatchSource({ stage: "prod", namespace: "a b" })).toThrow(code);
  expect(() => prometheusSource({ url: "prometheus:9090" })).toThrow(code);
  for (const url of [
    "http://ann:s3cret@p:9090",
    "http://:s3cret@p",
    "http://p/?token=s3cret",
    "http://p/#s3cret",
  ]) {
    expect(() => prometheusSource({ url })).toThrow(
      /^`url` must be an http:\/\/ or https:\/\/ URL without credentials \(use `headers`\), `\?` and `#`; got a string$/,
    );
  }
  expect(() => emfSides({ name: "x" } as never)).toThrow(code);
});
