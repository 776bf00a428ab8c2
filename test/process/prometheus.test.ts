// `prometheusSource` asks a Prometheus server that scrapes the counters of `prometheusSides`.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { freePort } from "../../bench/lib/free-port.ts";
import { prometheusSides, prometheusSource, type SideEvent } from "../../src/rollout/index.ts";

/** Machines without Prometheus skip these tests, because npm does not install it. On Debian: `apt-get install prometheus`. */
const isInstalled = spawnSync("prometheus", ["--version"]).error === undefined;

const SCRAPE_MS = 100;
const { signal } = new AbortController();

const event = (fields: Partial<SideEvent> = {}): SideEvent => ({
  side: "new",
  event: "MESSAGE",
  stage: "prod",
  failed: false,
  durationMs: 4,
  ...fields,
});

/** Serves a page of counters, on a port of its own. */
async function serveCounters() {
  const sides = prometheusSides();
  let scrapes = 0;
  const server = createServer((_request, response) => {
    scrapes++;
    response.setHeader("content-type", "text/plain; version=0.0.4").end(sides.page());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  /** Waits until all that was counted so far has been scraped, and for more scrapes. */
  const scraped = async (times = 2) => {
    const before = scrapes;
    await vi.waitUntil(() => scrapes >= before + times, { timeout: 60_000 });
  };
  return { sides, scraped, target: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function startPrometheus(jobs: { readonly [job: string]: readonly string[] }): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-prometheus-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const scrape_configs = Object.entries(jobs).map(([job_name, targets]) => ({
    job_name,
    static_configs: [{ targets }],
  }));
  // Prometheus reads YAML, and JSON is YAML.
  const global = { scrape_interval: `${SCRAPE_MS}ms`, scrape_timeout: `${SCRAPE_MS}ms` };
  writeFileSync(join(folder, "prometheus.yml"), JSON.stringify({ global, scrape_configs }));
  const address = `127.0.0.1:${await freePort()}`;
  const server = spawn(
    "prometheus",
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=${address}`,
    ],
    { stdio: "ignore" },
  );
  onTestFinished(async () => {
    server.kill("SIGKILL");
    if (server.exitCode === null && server.signalCode === null) await once(server, "exit");
  });
  const isReady = () =>
    fetch(`http://${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  await vi.waitUntil(isReady, { timeout: 60_000, interval: 100 });
  return `http://${address}`;
}

describe.skipIf(!isInstalled)("with a Prometheus server", () => {
  it("reads the events of a window, of all processes of a job", async () => {
    const [a, b, other] = [await serveCounters(), await serveCounters(), await serveCounters()];
    const url = await startPrometheus({ chat: [a.target, b.target], other: [other.target] });
    // Before the window.
    for (let n = 0; n < 1_000; n++) a.sides.record(event({ durationMs: 900 * (n % 3), failed: true }));
    for (const process of [a, b, other]) await process.scraped();
    const from = Date.now();
    for (const process of [a, b, other]) await process.scraped();
    for (let n = 0; n < 300; n++) {
      a.sides.record(event({ durationMs: n % 3, failed: n % 10 === 0 }));
      b.sides.record(event({ durationMs: 5 }));
      b.sides.record(event({ side: "old", durationMs: 2 * (n % 3) }));
      b.sides.record(event({ event: "CONNECT", failed: n % 100 === 0 }));
      other.sides.record(event({ durationMs: 500, failed: true }));
    }
    // `increase` extrapolates each end of the window by at most 1.1 scrapes, and a busy machine fails some of them.
    for (const process of [a, b, other]) await process.scraped(40);
    const window = await prometheusSource({ url, labels: { job: "chat" } }).read(from, Date.now(), signal);
    const about = (count: number) => expect.closeTo(count, -Math.log10(0.4 * count));
    expect(window).toEqual({
      from,
      to: expect.any(Number),
      old: {
        ...{ events: about(300), errors: 0, connects: 0, connectFailures: 0 },
        ...{ latencies: about(300), latencySum: about(600), latencySquares: about(2_000) },
      },
      new: {
        ...{ events: about(600), errors: about(30), connects: about(300), connectFailures: about(3) },
        ...{ latencies: about(600), latencySum: about(1_800), latencySquares: about(8_000) },
      },
    });
  });

  it("rejects a window without events, labels that no process has, and an invalid selector", async () => {
    const idle = await serveCounters();
    const url = await startPrometheus({ chat: [idle.target] });
    await idle.scraped(3);
    const to = Date.now();
    const read = (labels: { [name: string]: string }) =>
      prometheusSource({ url, labels }).read(to - 1_000, to, signal);
    const noEvents = { code: "INVALID_METRICS", message: expect.stringContaining("has no events") };
    await expect(read({ job: "chat" })).rejects.toMatchObject(noEvents);
    await expect(read({ job: "other" })).rejects.toMatchObject(noEvents);
    await expect(read({ "a-b": "chat" })).rejects.toMatchObject({
      code: "METRICS_UNAVAILABLE",
      message: expect.stringMatching(/status 400: .*parse error/),
    });
  });
});
