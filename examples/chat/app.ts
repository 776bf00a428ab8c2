import { type Context, type Lift, LiftError } from "lift-ws";
import type { Connection } from "lift-ws/store";
import * as z from "zod/mini";
import { type ChatOptions, createConnect, type State } from "./connect.ts";

const MAX_TEXT_BYTES = 4096;
/** Keeps a presence frame far below the message limit of 128 KB. */
const MAX_ROOMS_SHOWN = 50;
const MAX_PEOPLE_SHOWN = 25;

const Join = z.object({ room: z.string().check(z.trim(), z.minLength(1), z.maxLength(64)) });

const Say = z.object({
  /** Chosen by the client. The message comes back with it, which confirms that it was sent. */
  id: z.string().check(z.minLength(1), z.maxLength(64)),
  text: z.string().check(
    z.trim(),
    z.minLength(1),
    z.refine((text) => Buffer.byteLength(text) <= MAX_TEXT_BYTES, `Takes at most ${MAX_TEXT_BYTES} bytes`),
  ),
});

/**
 * Creates a chat. A user is in one room of their tenant at a time, sees the members of all rooms, talks to the room,
 * and can send announcements to the tenant. With a DynamoDB connection store it runs on AWS unchanged.
 */
export function createChat(options: ChatOptions): Lift<State> {
  const app = createConnect(options);

  app.webSocket("$disconnect", async (ctx) => {
    // The connection's row still exists, so leave it out of the presence frame.
    await broadcastPresence(ctx, ctx.connectionId);
  });

  app.webSocket("join", { schema: Join }, async (ctx) => {
    const { room } = ctx.input;
    // `set` writes after the handler. `update` writes now, so that the presence frame includes this user.
    await ctx.update("room", () => room);
    await ctx.reply({ type: "joined", room, you: ctx.userId, tenant: ctx.tenantId });
    await broadcastPresence(ctx);
  });

  app.webSocket("leave", async (ctx) => {
    await ctx.update("room", () => undefined);
    await ctx.reply({ type: "left" });
    await broadcastPresence(ctx);
  });

  app.webSocket("say", { schema: Say }, async (ctx) => {
    const room = await ctx.get("room");
    if (room === undefined) throw new LiftError("FORBIDDEN", { message: "Join a room first" });
    const message = { type: "message", room, from: ctx.userId, at: Date.now(), ...ctx.input };
    await broadcast(ctx, message, (connection) => connection.state.room === room);
  });

  app.webSocket("announce", { schema: Say }, async (ctx) => {
    await broadcast(ctx, { type: "announcement", from: ctx.userId, at: Date.now(), ...ctx.input });
  });

  app.webSocket("ping", async (ctx) => {
    await ctx.reply({ type: "pong" });
  });

  return app;
}

type ChatContext = Pick<Context<State>, "asWebSocket" | "connectionStore" | "tenantId" | "userId">;

/** Lists the connections of this event's tenant only. */
async function listTenantConnections({
  tenantId,
  userId,
  connectionStore,
}: ChatContext): Promise<Connection[]> {
  // A connection whose row has been deleted has neither, and so no recipients.
  if (tenantId === undefined && userId === undefined) return [];
  const list =
    tenantId === undefined ? connectionStore.listByUser(userId!) : connectionStore.listByTenant(tenantId);
  const connections: Connection[] = [];
  // A user's list includes all tenants.
  for await (const connection of list) if (connection.tenantId === tenantId) connections.push(connection);
  return connections;
}

async function broadcast(
  ctx: ChatContext,
  frame: object,
  isRecipient: (connection: Connection) => boolean = () => true,
): Promise<void> {
  const recipients = (await listTenantConnections(ctx)).filter(isRecipient);
  await ctx.asWebSocket().broadcastJSON(
    recipients.map(({ id }) => id),
    frame,
  );
}

/**
 * Sends the complete presence to the tenant. The next frame makes up for a lost one, and `at` tells which of two frames
 * is newer.
 */
async function broadcastPresence(ctx: ChatContext, leaving?: string): Promise<void> {
  const at = Date.now();
  const staying = (await listTenantConnections(ctx)).filter(({ id }) => id !== leaving);
  const people = new Map<string, Set<string>>();
  for (const { state, userId } of staying) {
    if (typeof state.room !== "string" || userId === undefined) continue;
    // A user with two windows in a room counts once.
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
