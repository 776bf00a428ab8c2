import { type Context, Lift, LiftError } from "lift-ws";
import { webSocketAuth } from "lift-ws/middleware/auth";
import type { Connection, ConnectionStore, Schedule } from "lift-ws/store";
import * as z from "zod/mini";

export interface ChatOptions {
  /** Whose token it is, and until when. Rejects one that is forged, expired or meant for something else. */
  readonly verify: (token: string) => Promise<ChatIdentity>;
  readonly connectionStore: ConnectionStore;
  /** What ends a connection when its token does. */
  readonly schedule: Schedule;
  /** ms since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

export interface ChatIdentity {
  readonly sub: string;
  /** Absent: a user without a tenant, who sees no other user. */
  readonly tenant?: string | undefined;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

/** What a connection keeps between its events. */
type State = { room: string };

const MAX_TEXT_BYTES = 4096;
/** So that a presence frame stays far below the 128 KB that a message may have. */
const MAX_ROOMS_SHOWN = 50;
const MAX_PEOPLE_SHOWN = 25;

const Join = z.object({ room: z.string().check(z.trim(), z.minLength(1), z.maxLength(64)) });

const Say = z.object({
  /** The client's own: the message comes back with it, which tells the client that it was sent. */
  id: z.string().check(z.minLength(1), z.maxLength(64)),
  text: z.string().check(
    z.trim(),
    z.minLength(1),
    z.refine((text) => Buffer.byteLength(text) <= MAX_TEXT_BYTES, `Takes at most ${MAX_TEXT_BYTES} bytes`),
  ),
});

/**
 * A chat. A person is in one room of their tenant at a time, sees who is where, talks to the room, and can
 * announce something to the whole tenant. With a DynamoDB connection store it runs on AWS as it is.
 */
export function createChat({ verify, connectionStore, schedule, now = Date.now }: ChatOptions): Lift<State> {
  const app = new Lift<State>({ connectionStore, schedule, now });

  // Refused, there is no socket and no row in the store. When its token expires, a connection is told and closed.
  const validateToken = async (token: string) => {
    const { sub, tenant, expiresAt } = await verify(token);
    return { userId: sub, tenantId: tenant, expiresAt };
  };
  app.use(webSocketAuth({ validateToken, now }));

  app.webSocket("$disconnect", async (ctx) => {
    // The connection's row is still there: the people who stay are told as if it were not.
    await tellWhoIsWhere(ctx, ctx.connectionId);
  });

  app.webSocket("join", { schema: Join }, async (ctx) => {
    const { room } = ctx.input;
    // `set` writes after the handler; `update` writes now, so that what is told next counts this person in.
    await ctx.update("room", () => room);
    await ctx.reply({ type: "joined", room, you: ctx.userId, tenant: ctx.tenantId });
    await tellWhoIsWhere(ctx);
  });

  app.webSocket("leave", async (ctx) => {
    await ctx.update("room", () => undefined);
    await ctx.reply({ type: "left" });
    await tellWhoIsWhere(ctx);
  });

  app.webSocket("say", { schema: Say }, async (ctx) => {
    const room = await ctx.get("room");
    if (room === undefined) throw new LiftError("FORBIDDEN", { message: "Join a room first" });
    const message = { type: "message", room, from: ctx.userId, at: Date.now(), ...ctx.input };
    await tell(ctx, message, (connection) => connection.state.room === room);
  });

  app.webSocket("announce", { schema: Say }, async (ctx) => {
    await tell(ctx, { type: "announcement", from: ctx.userId, at: Date.now(), ...ctx.input });
  });

  app.webSocket("ping", async (ctx) => {
    await ctx.reply({ type: "pong" });
  });

  return app;
}

type ChatContext = Pick<Context<State>, "asWebSocket" | "connectionStore" | "tenantId" | "userId">;

/** Everyone connected, in the tenant of this event's connection and in no other. */
async function colleagues({ tenantId, userId, connectionStore }: ChatContext): Promise<Connection[]> {
  // A connection whose row is gone already has neither: it has nobody to talk to.
  if (tenantId === undefined && userId === undefined) return [];
  const list =
    tenantId === undefined ? connectionStore.listByUser(userId!) : connectionStore.listByTenant(tenantId);
  const connections: Connection[] = [];
  // A user's list has those in all tenants.
  for await (const connection of list) if (connection.tenantId === tenantId) connections.push(connection);
  return connections;
}

async function tell(
  ctx: ChatContext,
  frame: object,
  isMeant: (connection: Connection) => boolean = () => true,
): Promise<void> {
  const recipients = (await colleagues(ctx)).filter(isMeant);
  await ctx.asWebSocket().broadcastJSON(
    recipients.map(({ id }) => id),
    frame,
  );
}

/**
 * Sends the whole tenant the whole picture: one that is lost is made good by the next, and of two that overtake
 * each other `at` tells the newer.
 */
async function tellWhoIsWhere(ctx: ChatContext, leaving?: string): Promise<void> {
  const at = Date.now();
  const staying = (await colleagues(ctx)).filter(({ id }) => id !== leaving);
  const people = new Map<string, Set<string>>();
  for (const { state, userId } of staying) {
    if (typeof state.room !== "string" || userId === undefined) continue;
    // A person with two windows in a room is there once.
    people.set(state.room, (people.get(state.room) ?? new Set()).add(userId));
  }
  const rooms = [...people].slice(0, MAX_ROOMS_SHOWN).map(([room, names]) => ({
    room,
    people: [...names].slice(0, MAX_PEOPLE_SHOWN),
    count: names.size,
  }));
  await ctx.asWebSocket().broadcastJSON(
    staying.map(({ id }) => id),
    { type: "presence", at, rooms },
  );
}
