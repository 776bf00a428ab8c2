import { LiftError } from "../../lift/index.ts";
import type { PresencePayload, SetPresencePayload, UserPresence } from "../../protocol/index.ts";
import type { Presence } from "../../store/index.ts";
import type { Core, Session } from "../core.ts";
import { fromStore } from "../fan-out/errors.ts";
import { Space } from "../messages.ts";
import { assertMay, assertPresence, type Channel } from "../namespaces.ts";
import { assertRate } from "../rates.ts";
import { answer, response } from "../responses.ts";
import { takeState } from "../schemas.ts";

export async function presence(
  { channel: text, after }: PresencePayload,
  session: Session,
  core: Core,
): Promise<void> {
  const channel = core.channels.find(text, session.identity.tenantId);
  await assertMay("subscribe", session.identity, channel);
  assertPresence(channel);
  const space = new Space(response(session.requestId, { users: [], more: false }));
  await answer<"presence">(session, await fromStore(readPresence(channel, after, space, core)));
}

/** As many as there is space for. */
async function readPresence(channel: Channel, after: string | undefined, space: Space, { store, now }: Core) {
  const users: UserPresence[] = [];
  for await (const one of store.members.listPresence(channel.key, now(), after)) {
    const fitting = space.first([userPresence(one)]);
    if (fitting.length === 0) return { users, more: true };
    users.push(...fitting);
  }
  return { users, more: false };
}

export function userPresence({ userId, since, state }: Presence): UserPresence {
  return { user: userId, since, ...(state === undefined ? {} : { state }) };
}

export async function setPresence(
  { channel: text, state: given }: SetPresencePayload,
  session: Session,
  core: Core,
): Promise<void> {
  const { identity, budget } = session;
  const channel = core.channels.find(text, identity.tenantId);
  await assertMay("subscribe", identity, channel);
  assertPresence(channel);
  const { userId } = identity;
  if (userId === undefined)
    throw new LiftError("UNAUTHORIZED", { message: "Who is anonymous shows nothing" });
  await assertRate("set_presence", channel, session);
  const state = await takeState(channel, given);
  const at = core.presenceOrder.updatedAt(channel.key, userId);
  const isThere = await fromStore(core.store.members.setState(channel.key, userId, state, budget));
  if (!isThere) throw new LiftError("FORBIDDEN", { message: "The user is not in the channel" });
  const user = { userId, at, ...(state === undefined ? {} : { state }) };
  const announce = core.departures.announce(channel.key, "update", user, session);
  await Promise.all([answer<"set_presence">(session, {}), announce]);
}
