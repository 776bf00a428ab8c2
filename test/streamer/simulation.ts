// A Streamer in memory with clients that come, ask and go: what the tests of src/streamer stand on.
import { type AnyContext, jsonLogger } from "../../src/lift/index.ts";
import {
  connectEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
  recordingConnections,
} from "../../src/lift/testing/index.ts";
import type { Action, Payloads, ServerMessage } from "../../src/protocol/index.ts";
import { memoryChannelStore, memoryConnectionStore } from "../../src/store/memory/index.ts";
import { createStreamer, type StreamerOptions } from "../../src/streamer/index.ts";

export const START = Date.UTC(2026, 0, 1);

// biome-ignore lint/suspicious/noExplicitAny: what a test looks at in an answer, it says
type Answer = any;

export interface SimulatedUser {
  readonly user?: string;
  readonly tenant?: string;
  /** Where there is authentication. */
  readonly token?: string;
}

/** What a client writes as an action's payload: as it reads, but for maps. */
type WirePayload<Payload> = {
  [Field in keyof Payload]: Payload[Field] extends ReadonlyMap<string, infer Value> | undefined
    ? { readonly [name: string]: Value }
    : Payload[Field];
};

const everyone = () => true;

export const OPEN = { subscribe: everyone, publish: everyone };

export function simulateStreamer(options: Partial<StreamerOptions> = {}) {
  let time = START;
  const now = () => time;
  const store = memoryChannelStore({ now });
  const connectionStore = memoryConnectionStore({ now });
  const connections = recordingConnections();
  const lines: string[] = [];
  const logger = jsonLogger({ level: "warn", write: (_level, line) => lines.push(line) });
  const streamer = createStreamer({
    channels: { room: { ...OPEN, presence: true }, flash: { ...OPEN, delivery: "at-most-once" } },
    store,
    connectionStore,
    connections,
    logger,
    now,
    middleware: [identifyByQuery],
    ...options,
  });
  const handler = streamer.app.webSocketHandler();
  const common = (connectionId: string) => ({
    connectionId,
    requestContext: { connectedAt: START, requestTimeEpoch: time },
  });

  const client = async (connectionId: string, person: SimulatedUser = {}) => {
    const event = connectEvent({ ...common(connectionId), query: { ...person } });
    const { statusCode } = await handler(event, lambdaContext());
    if (statusCode !== 200) throw new Error(`It was refused with ${statusCode}`);
    let asked = 0;
    const received = () => connections.jsonSentTo(connectionId) as Answer[];
    /** Sends a message as it is, and gives what came for it. */
    const send = async (body: unknown, context = lambdaContext()): Promise<Answer[]> => {
      const before = connections.sent.length;
      await handler(messageEvent("$default", body, common(connectionId)), context);
      const sent = connections.sent.slice(before).filter((message) => message.connectionId === connectionId);
      return sent.map(({ data }) => JSON.parse(data));
    };
    return {
      connectionId,
      received,
      send,
      /** All of a type, without those that answer. */
      pushed: (type: Exclude<ServerMessage["type"], "response" | "error">) =>
        received().filter((message) => message.type === type),
      ask: async <Name extends Exclude<Action, "message">>(
        action: Name,
        payload: WirePayload<Payloads[Name]>,
        context = lambdaContext(),
      ): Promise<Answer> => {
        const id = `${connectionId}-${++asked}`;
        const sent = await send({ id, action, payload }, context);
        return sent.find((message) => message.request_id === id);
      },
      leave: () => handler(disconnectEvent(common(connectionId)), lambdaContext()),
    };
  };
  return {
    streamer,
    store,
    connectionStore,
    connections,
    lines,
    now,
    client,
    /** Moves the clock, in ms. */
    later: (ms: number) => {
      time += ms;
    },
  };
}

export type SimulatedClient = Awaited<ReturnType<ReturnType<typeof simulateStreamer>["client"]>>;

async function identifyByQuery(ctx: AnyContext, next: () => Promise<void>): Promise<void> {
  const [user, tenant] = [ctx.query("user"), ctx.query("tenant")];
  if (user !== undefined) ctx.setUserId(user);
  if (tenant !== undefined) ctx.setTenantId(tenant);
  await next();
}

/** Everyone who is in a channel. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}
