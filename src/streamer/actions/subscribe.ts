import { LiftError } from "../../lift/index.ts";
import {
  type ChannelRequest,
  LIMITS,
  type LiveStream,
  type Refused,
  type Subscribed,
  type SubscribePayload,
  type UnsubscribePayload,
} from "../../protocol/index.ts";
import type { Json } from "../../store/index.ts";
import type { Core, Session } from "../core.ts";
import { allFromStore, errorBody, fromStore, log } from "../fan-out/errors.ts";
import { channelKey, partKey, partOf } from "../keys.ts";
import { liveIn } from "../live-streams/live-streams.ts";
import { channelMessages, Space } from "../messages.ts";
import { assertMay, type Channel } from "../namespaces.ts";
import { assertOwn } from "../own-actions.ts";
import { assertRate } from "../rates.ts";
import { answer, response } from "../responses.ts";
import { takeState } from "../schemas.ts";
import { readAfter, readPage } from "./history.ts";

/** Histories that are read at a time: each may have megabytes. */
const CONCURRENCY = 8;

/** What an answer holds of a channel besides its messages, and its name: a position with an epoch of 128 bytes. */
const ROOM_PER_CHANNEL = 320;

/** One of the channels that are asked for, let in or refused. */
interface Asked {
  readonly request: ChannelRequest;
  readonly channel?: Channel;
  readonly refused?: Refused;
  /** The connection was not there before. */
  readonly isNew?: boolean;
  /** The presence event to send to the members. */
  readonly event?:
    | { readonly type: "join" | "update"; readonly at: number; readonly state?: Json }
    | undefined;
}

export async function subscribe({ channels }: SubscribePayload, session: Session, core: Core): Promise<void> {
  // In turn, or a connection's messages would overlap: each would count the others' subscriptions as none, and one that
  // fails would take back what another has answered.
  const { asked, results } = await core.turns.run(session.ctx.connectionId, async () => {
    const admitted = await admit(channels, session, core);
    const joined = await Promise.all(admitted.map((one) => join(one, session, core)));
    const results = await catchUp(joined, session, core);
    const takeBack = (one: Asked, at: number) =>
      "error" in results[at]! ? takenBack(one, session, core) : one;
    return { asked: await Promise.all(joined.map(takeBack)), results };
  });
  const answered = await answer<"subscribe">(session, { channels: results });
  // Also where nobody hears the answer: another tab that came meanwhile counts on this join.
  await Promise.all(asked.map((one) => announce(one, session, core)));
  // Its $disconnect may have been here before it became a member.
  if (!answered) {
    const joined = asked.flatMap(({ channel }) => channel?.key ?? []);
    await core.sweep.ended(session, core, joined);
  }
}

/** Sends the members the presence event of a subscription, and that they are one more. */
async function announce(asked: Asked, session: Session, core: Core): Promise<void> {
  const { channel, event, isNew } = asked;
  const { userId } = session.identity;
  if (channel?.namespace.live !== undefined && isNew) await core.departures.recount(channel.key, session);
  if (channel === undefined || event === undefined || userId === undefined) return;
  const { type, ...what } = event;
  await core.departures.announce(channel.key, type, { userId, ...what }, session);
}

/**
 * A connection that is refused must be no member: then its next try is a join again. A connection that was a member
 * before stays one. Where the user is there by another tab, or could not be taken out, the members are still sent the
 * join.
 */
async function takenBack(asked: Asked, session: Session, core: Core): Promise<Asked> {
  const { channel, isNew } = asked;
  if (channel === undefined || !isNew) return asked;
  const { connectionId } = session.ctx;
  try {
    const left = await core.departures.remove(channel.key, connectionId, session.budget);
    return left === undefined ? asked : { ...asked, event: undefined };
  } catch (error) {
    log(session.logger, "error", "A refused subscription was not taken back", { connectionId, error });
    return asked;
  }
}

export async function unsubscribe(
  { channels }: UnsubscribePayload,
  session: Session,
  core: Core,
): Promise<void> {
  const { ctx, budget } = session;
  const { connectionId } = ctx;
  const isLive = (key: string) => core.channels.namespaceOf(key)?.live !== undefined;
  // Also of a namespace that is configured no more: whoever is in it must get out.
  const keys = channels.map((text) => channelKey(session.identity.tenantId, text));
  const leave = async () => {
    const held = keys.some(isLive)
      ? await allFromStore(core.store.members.listChannels(connectionId, budget))
      : [];
    const remove = async (key: string) => {
      if (held.includes(partKey(key, "owners"))) await core.streams.release(key, connectionId, budget);
      return core.departures.remove(key, connectionId, budget);
    };
    return Promise.allSettled(keys.map(remove));
  };
  const removed = await core.turns.run(connectionId, leave);
  const failed = removed.find((one) => one.status === "rejected");
  const announced = removed.map(async (one, at) => {
    const left = one.status === "fulfilled" ? one.value : undefined;
    if (left !== undefined) await core.departures.announce(keys[at]!, "leave", left, session);
    if (one.status === "fulfilled" && isLive(keys[at]!)) await core.departures.recount(keys[at]!, session);
  });
  await Promise.all([...announced, failed === undefined && answer<"unsubscribe">(session, {})]);
  if (failed !== undefined) throw failed.reason;
}

/** Who may not, and what is too much, is refused. */
async function admit(requests: readonly ChannelRequest[], session: Session, core: Core): Promise<Asked[]> {
  const { identity, ctx, budget } = session;
  const allowed = await Promise.all(
    requests.map(async (request): Promise<Asked> => {
      try {
        const channel = core.channels.find(request.channel, identity.tenantId);
        await assertMay("subscribe", identity, channel);
        if (request.state !== undefined) assertOwn("set_presence", core);
        const state = await takeState(channel, request.state);
        return { request: state === undefined ? request : { ...request, state }, channel };
      } catch (thrown) {
        return refusing(request, thrown, session);
      }
    }),
  );
  const before = await allFromStore(core.store.members.listChannels(ctx.connectionId, budget));
  const held = new Set(before.filter((key) => partOf(key) === undefined));
  const admitted = allowed.map((asked): Asked => {
    const { request, channel } = asked;
    if (channel === undefined || held.has(channel.key)) return asked;
    if (held.size >= core.maxSubscriptions) {
      const message = `A connection has at most ${core.maxSubscriptions} subscriptions`;
      return refusing(request, new LiftError("LIMIT_EXCEEDED", { status: 429, message }), session);
    }
    held.add(channel.key);
    return { ...asked, isNew: true };
  });
  // Before it is a member: who has died in between is found.
  const isSeenIn = (keys: readonly string[]) => core.sweep.isSeenIn(keys, identity.userId);
  if (!isSeenIn(before) && isSeenIn([...held])) await core.sweep.watch(session);
  return admitted;
}

function refusing(request: ChannelRequest, thrown: unknown, { logger }: Session): Asked {
  return { request, refused: { channel: request.channel, error: errorBody(thrown, logger) } };
}

/** Makes the connection a member, before anything is read of what it is a member of. */
async function join(asked: Asked, session: Session, core: Core): Promise<Asked> {
  const { request, channel } = asked;
  if (channel === undefined) return asked;
  const { ctx, identity, budget } = session;
  const { key, namespace } = channel;
  const { endpoint, expiresAt } = ctx.asWebSocket();
  const userId = namespace.presence ? identity.userId : undefined;
  const { state } = request;
  const shows = userId !== undefined && state !== undefined;
  let event: Asked["event"];
  let added = false;
  try {
    // Apart from `set_presence`, so that a client that comes back is not refused for what it showed before.
    if (shows) await assertRate(asked.isNew ? "subscribe" : "set_presence", channel, session);
    added = true;
    const joinedAt = userId === undefined ? core.now() : core.presenceOrder.joinedAt(key, userId);
    const user = userId === undefined ? {} : { userId };
    const member = { connectionId: ctx.connectionId, ...user, endpoint, joinedAt, expiresAt };
    const isFirst = await fromStore(core.store.members.add(key, member, budget));
    if (isFirst) event = { type: "join", at: joinedAt };
    if (!shows) return { ...asked, event };
    const at = isFirst ? joinedAt : core.presenceOrder.updatedAt(key, userId);
    await fromStore(core.store.members.setState(key, userId, state, budget));
    return { ...asked, event: { type: isFirst ? "join" : "update", at, state } };
  } catch (thrown) {
    const refused = refusing(request, thrown, session);
    return added ? { ...asked, ...refused, event } : refused;
  }
}

/** What each channel has to tell, as much as one frame takes. */
async function catchUp(
  asked: readonly Asked[],
  session: Session,
  core: Core,
): Promise<(Subscribed | Refused)[]> {
  const around = asked.map(({ request: { channel }, refused }) => refused ?? { channel, _: PADDING });
  const space = new Space(response(session.requestId, { channels: around as never }));
  const results: (Subscribed | Refused)[] = [];
  for (let start = 0; start < asked.length; start += CONCURRENCY) {
    const read = asked
      .slice(start, start + CONCURRENCY)
      .map((one) => readOne(one, session, core, space.isFull));
    for (const result of await Promise.all(read)) results.push(fitted(result, space));
  }
  return results;
}

const PADDING = " ".repeat(ROOM_PER_CHANNEL);

async function readOne(
  { request, channel, refused }: Asked,
  session: Session,
  core: Core,
  isFull: boolean,
): Promise<Subscribed | Refused> {
  if (channel === undefined || refused !== undefined) return refused!;
  try {
    const [subscribed, live] = await Promise.all([
      read(request, channel, session, core, isFull ? 1 : LIMITS.messages),
      liveFor(channel, session, core),
    ]);
    return live === undefined ? subscribed : { ...subscribed, live };
  } catch (thrown) {
    return { channel: channel.text, error: errorBody(thrown, session.logger) };
  }
}

/** Who streams there. Its owner is there with this connection, too. */
async function liveFor(channel: Channel, session: Session, core: Core): Promise<LiveStream | undefined> {
  const live = await liveIn(channel, session.budget, core);
  if (live !== undefined && live.user === session.identity.userId) {
    await core.streams.hold(channel.key, live.user, session, core);
  }
  return live;
}

/** @param limit of messages; one is enough to see whether there are any */
async function read(
  { position: after, recent = 0 }: ChannelRequest,
  channel: Channel,
  { budget }: Session,
  core: Core,
  limit: number,
): Promise<Subscribed> {
  const { text, key, namespace } = channel;
  if (namespace.bounds === undefined) {
    return { channel: text, ...(after === undefined ? {} : { recovered: false, messages: [] }) };
  }
  if (after !== undefined) {
    const { position, recovered, messages, more } = await readAfter(channel, after, limit, core, budget);
    return {
      channel: text,
      position,
      recovered,
      messages: channelMessages(text, position.epoch, messages),
      more,
    };
  }
  if (recent === 0)
    return { channel: text, position: await fromStore(core.store.history.readHead(key, budget)) };
  const page = await readPage(channel, { limit: Math.min(recent, limit) }, core, budget);
  // A later head would have the client drop what reaches it as a member.
  const position = { epoch: page.head.epoch, offset: page.messages.at(-1)?.offset ?? page.head.offset };
  return { channel: text, position, messages: channelMessages(text, position.epoch, page.messages) };
}

/** Of what was missed the first that fit, for the rest is asked for behind them; else the newest. */
function fitted(answered: Subscribed | Refused, space: Space): Subscribed | Refused {
  if ("error" in answered) return answered;
  const result = withLive(answered, space);
  if (result.messages === undefined) return result;
  if (result.recovered === undefined) return { ...result, messages: space.last(result.messages) };
  const messages = space.first(result.messages);
  const more = result.more === true || messages.length < result.messages.length;
  const { more: _, ...rest } = result;
  return { ...rest, messages, ...(more ? { more } : {}) };
}

function withLive(result: Subscribed, space: Space): Subscribed {
  const { live } = result;
  if (live === undefined || space.first([live]).length > 0) return result;
  const { data: _, ...rest } = live;
  return { ...result, live: rest };
}
