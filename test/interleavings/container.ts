import type { BroadcastReport, WebSocketResult } from "../../src/apigw/index.ts";
import { type AnyContext, jsonLogger, type TickReport, type WebSocketHandler } from "../../src/lift/index.ts";
import type { WebSocketAuth } from "../../src/lift/middleware/auth/index.ts";
import { connectEvent, disconnectEvent, lambdaContext, messageEvent } from "../../src/lift/testing/index.ts";
import { createStreamer, type RequestContext, type Streamer } from "../../src/streamer/index.ts";
import { openChannels } from "../history/namespaces.ts";
import type { Stores } from "./backend.ts";
import { MINUTE, NAMESPACES } from "./namespaces.ts";
import { type SimulatedClient, TENANT } from "./simulated-client.ts";
import type { SimulatedConnections } from "./simulated-connections.ts";

export interface ContainerSettings {
  /** Default: the user is in the query. */
  readonly auth?: WebSocketAuth;
  /** Default: no heartbeats. */
  readonly heartbeatMs?: number;
  /** Age of the connections, in ms. Default: 10 minutes, so that their `$connect` has certainly finished. */
  readonly ageMs?: number;
  /** Stored requests that run here at the same time. Default: none. */
  readonly workers?: number;
  /** Called with the user of each `$disconnect`. */
  readonly onDisconnect?: (user: string | undefined) => void;
}

export interface ContainerOptions extends ContainerSettings {
  readonly stores: Stores;
  readonly connections: SimulatedConnections;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Time of the order's start, in ms since the epoch. */
  readonly startedAt: number;
}

/** One process with a Streamer of its own, such as a Lambda container. */
export class Container {
  readonly streamer: Streamer;
  readonly stores: Stores;
  readonly #connections: SimulatedConnections;
  readonly #now: () => number;
  readonly #connectedAt: number;
  readonly #handler: WebSocketHandler;

  constructor({ stores, connections, now, startedAt, ...settings }: ContainerOptions) {
    const { auth, heartbeatMs, ageMs = 10 * MINUTE, workers = 0, onDisconnect } = settings;
    this.stores = stores;
    this.#connections = connections;
    this.#now = now;
    this.#connectedAt = startedAt - ageMs;
    this.streamer = createStreamer({
      ...stores,
      channels: openChannels(NAMESPACES),
      connections,
      now,
      // An order takes as long as the machine lets it.
      requests: { workers, gatherMs: 0, leaseMs: 60 * MINUTE },
      logger: jsonLogger({ level: "silent" }),
      middleware: [
        ...(auth === undefined ? [identifyByQuery] : []),
        async (ctx, next) => {
          if (ctx.routeKey === "$disconnect") onDisconnect?.(ctx.userId);
          await next();
        },
      ],
      ...(auth === undefined ? {} : { auth }),
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    });
    this.streamer.request("work", { estimatedMs: MINUTE }, work);
    this.#handler = this.streamer.app.webSocketHandler();
  }

  connect(
    client: SimulatedClient,
    query: { readonly [name: string]: string } = {},
  ): Promise<WebSocketResult> {
    this.#connections.open(client);
    const identity = { user: client.user, tenant: TENANT };
    return this.#handler(
      connectEvent({ ...this.#common(client), query: { ...identity, ...query } }),
      lambdaContext(),
    );
  }

  send(client: SimulatedClient, body: object): Promise<WebSocketResult> {
    return this.#handler(messageEvent("$default", body, this.#common(client)), lambdaContext());
  }

  /** Handles the `$disconnect` of a client whose connection has ended. */
  disconnected(client: SimulatedClient): Promise<WebSocketResult> {
    return this.#handler(disconnectEvent(this.#common(client)), lambdaContext());
  }

  /** Sends to a connection from outside of an event. */
  broadcast({ connectionId }: SimulatedClient, data: string): Promise<BroadcastReport> {
    const { domainName, stage } = connectEvent().requestContext;
    return this.streamer.app.broadcast(`https://${domainName}/${stage}`, [connectionId], data);
  }

  tick(): Promise<TickReport> {
    return this.streamer.app.tick();
  }

  #common({ connectionId }: SimulatedClient) {
    return {
      connectionId,
      requestContext: { connectedAt: this.#connectedAt, requestTimeEpoch: this.#now() },
    };
  }
}

async function work(_input: unknown, { progress, output }: RequestContext): Promise<string> {
  progress(50);
  for (const text of ["one ", "two "]) await output.write(text);
  return "done";
}

async function identifyByQuery(ctx: AnyContext, next: () => Promise<void>): Promise<void> {
  const [user, tenant] = [ctx.query("user"), ctx.query("tenant")];
  if (user !== undefined) ctx.setUserId(user);
  if (tenant !== undefined) ctx.setTenantId(tenant);
  await next();
}
