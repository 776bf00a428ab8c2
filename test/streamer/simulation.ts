// A Streamer in memory and its simulated clients, for the tests of src/streamer.
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

// biome-ignore lint/suspicious/noExplicitAny: each test expects its own shape of response
type Response = any;

export interface SimulatedUser {
  readonly user?: string;
  readonly tenant?: string;
  /** For simulations with authentication. */
  readonly token?: string;
}

/** An action's payload as a client writes it: maps are objects. */
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

  const client = async (connectionId: string, identity: SimulatedUser = {}) => {
    const event = connectEvent({ ...common(connectionId), query: { ...identity } });
    const { statusCode } = await handler(event, lambdaContext());
    if (statusCode !== 200) throw new Error(`$connect was refused with ${statusCode}`);
    let requests = 0;
    const received = () => connections.jsonSentTo(connectionId) as Response[];
    /** Sends a message unchanged, and resolves to the messages that the client received meanwhile. */
    const send = async (body: unknown, context = lambdaContext()): Promise<Response[]> => {
      const before = connections.sent.length;
      await handler(messageEvent("$default", body, common(connectionId)), context);
      const sent = connections.sent.slice(before).filter((message) => message.connectionId === connectionId);
      return sent.map(({ data }) => JSON.parse(data));
    };
    return {
      connectionId,
      received,
      send,
      /** The received messages of one type, without responses and errors. */
      pushed: (type: Exclude<ServerMessage["type"], "response" | "error">) =>
        received().filter((message) => message.type === type),
      ask: async <Name extends Exclude<Action, "message">>(
        action: Name,
        payload: WirePayload<Payloads[Name]>,
        context = lambdaContext(),
      ): Promise<Response> => {
        const id = `${connectionId}-${++requests}`;
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
    advance: (ms: number) => {
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

/** Collects the items of an async iterable. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
