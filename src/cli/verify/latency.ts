import { randomUUID } from "node:crypto";
import { createClient } from "../../client/index.ts";
import { type Meter, Probe } from "./probe.ts";
import { withLimit } from "./time-limit.ts";

/** Durations of one kind, in ms. */
export interface Latency {
  readonly name: string;
  readonly ms: readonly number[];
}

const CONNECTS = 50;
const MESSAGES = 300;
/** Each is stored and fanned out. */
const STREAMER_MESSAGES = 100;

/** Measures connects, and messages with a route response, one after the other. */
export async function measureApi(url: URL, meter: Meter, signal: AbortSignal): Promise<Latency[]> {
  const probe = await Probe.open(url, meter, signal);
  try {
    const connects = await times(CONNECTS, async () => (await probe.connect()).close());
    const socket = await probe.connect();
    const messages = await times(MESSAGES, () => probe.idOf(socket));
    return [
      { name: "connect, with an authorizer and a function", ms: connects },
      { name: "message to a function and back", ms: messages },
    ];
  } finally {
    probe.close();
  }
}

/** Measures messages of a Streamer: until they are stored, and until another client has them. */
export async function measureStreamer(url: string, token: string, signal: AbortSignal): Promise<Latency[]> {
  const channel = `room:verify-${randomUUID()}`;
  const [publisher, subscriber] = [createClient({ url, token }), createClient({ url, token })];
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const abort = () => failed.reject(signal.reason);
  signal.addEventListener("abort", abort);
  const unlessFailed = (work: Promise<unknown>) => withLimit(Promise.race([work, failed.promise]));
  const arrived = new Map<unknown, () => void>();
  try {
    for (const client of [publisher, subscriber]) {
      client.onError(failed.reject);
      client.connect();
    }
    const { ready } = subscriber.subscribe(channel, { onMessage: ({ data }) => arrived.get(data)?.() });
    await unlessFailed(ready);
    const stored: number[] = [];
    const delivered = await times(STREAMER_MESSAGES, async () => {
      const text = randomUUID();
      const { promise, resolve } = Promise.withResolvers<void>();
      arrived.set(text, resolve);
      const startedAt = performance.now();
      const answered = publisher
        .publish(channel, text)
        .then(() => stored.push(performance.now() - startedAt));
      await unlessFailed(Promise.all([answered, promise]));
    });
    return [
      { name: "Streamer: publish until it is stored", ms: stored },
      { name: "Streamer: publish until another client has it", ms: delivered },
    ];
  } finally {
    signal.removeEventListener("abort", abort);
    publisher.disconnect();
    subscriber.disconnect();
  }
}

async function times(count: number, act: () => Promise<unknown>): Promise<number[]> {
  const ms: number[] = [];
  for (let done = 0; done < count; done++) {
    const startedAt = performance.now();
    await act();
    ms.push(performance.now() - startedAt);
  }
  return ms;
}

/** Returns the value that a part of the values does not exceed: 0.5 is the median. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}
