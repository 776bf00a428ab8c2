import { hash, randomUUID } from "node:crypto";
import { LiftError } from "../../lift/index.ts";
import type { ChannelMessage, PublishPayload, PublishResult } from "../../protocol/index.ts";
import type { AppendResult, Json, NewMessage, Retention } from "../../store/index.ts";
import type { Core, Scope, Session } from "../core.ts";
import { fromStore, log } from "../fan-out/errors.ts";
import type { Reached } from "../fan-out/fan-out.ts";
import { channelKeyOf, channelOf, partOf } from "../keys.ts";
import { streamMessage } from "../live-streams/stream-log.ts";
import { channelMessage } from "../messages.ts";
import { assertMay, type Channel } from "../namespaces.ts";
import { assertRate } from "../rates.ts";
import { answer } from "../responses.ts";
import { takeData } from "../schemas.ts";

const EVERYONE = "What has a position goes to everyone: others is for namespaces that are at-most-once";

const NOTHING_TO_TELL: Reached = { complete: true, gone: [] };

/** What is published, and by whom. */
export interface Publication {
  readonly data: Json;
  readonly userId?: string | undefined;
  /** Whose `key` it is: two of one kind and name are the same publisher. */
  readonly publisher: readonly ["client" | "server", string | null];
  readonly key?: string | undefined;
  /** The connection that does not get it. */
  readonly except?: string | undefined;
}

/** A message that has been published: what to answer, and the fan-out that may still be to come. */
interface Published {
  readonly result: PublishResult;
  /** Never rejects. */
  readonly fanOut: () => Promise<unknown>;
}

export async function publish(payload: PublishPayload, session: Session, core: Core): Promise<void> {
  const { identity } = session;
  const channel = core.channels.find(payload.channel, identity.tenantId);
  await assertMay("publish", identity, channel);
  await assertRate("publish", channel, session);
  const { data, key, others } = payload;
  const { userId } = identity;
  const except = others === true ? session.ctx.connectionId : undefined;
  const publication: Publication = { data, key, userId, except, publisher: ["client", userId ?? null] };
  const { result, fanOut } = await publishTo(channel, publication, session, core);
  // Beside each other, for the publisher waits for its answer; both in the event, which a Lambda freezes behind.
  await Promise.all([answer<"publish">(session, result), fanOut()]);
}

/**
 * Stores a message, or, at-most-once, hands it over.
 * @throws {LiftError} TOO_LARGE, STORE_FAILED; VALIDATION_ERROR by the schema, and where an exception can't be made
 */
export async function publishTo(
  channel: Channel,
  publication: Publication,
  scope: Scope,
  core: Core,
): Promise<Published> {
  const { userId, key, publisher, except } = publication;
  const data = await takeData(channel, publication.data);
  const message: NewMessage = {
    id: randomUUID(),
    data,
    at: core.now(),
    ...(userId === undefined ? {} : { userId }),
    // A publisher's keys are its own; a hash is as short as stores require, however long the key is.
    ...(key === undefined ? {} : { key: hashOf([...publisher, key]) }),
  };
  const { bounds } = channel.namespace;
  if (bounds === undefined) return handOver(channel, message, except, scope, core);
  if (except !== undefined) throw new LiftError("VALIDATION_ERROR", { message: EVERYONE });
  return store(channel, message, bounds, scope, core);
}

async function store(
  { key }: Channel,
  message: NewMessage,
  bounds: Retention,
  scope: Scope,
  core: Core,
): Promise<Published> {
  const appended = await fromStore(core.store.history.append(key, message, bounds, scope.budget));
  const { epoch, duplicate } = appended;
  const { id, offset } = appended.message;
  return {
    result: { id, position: { epoch, offset } },
    // Whoever stored the first one fans it out.
    fanOut: duplicate ? async () => {} : () => fanOutStored(key, appended, scope, core),
  };
}

/**
 * The id of an at-most-once message. It follows from the key: no store knows which keys were published, so a publisher
 * that resends without an answer sends a second message, which clients drop by its id.
 */
function idOf(channelKey: string, { id, key }: NewMessage): string {
  return key === undefined ? id : hashOf([channelKey, key]);
}

function hashOf(parts: readonly (string | null)[]): string {
  return hash("sha256", JSON.stringify(parts), "base64url");
}

async function handOver(
  { key, text }: Channel,
  publication: NewMessage,
  except: string | undefined,
  scope: Scope,
  { fanOut, departures }: Core,
): Promise<Published> {
  const id = idOf(key, publication);
  const { data, at, userId } = publication;
  const user = userId === undefined ? {} : { user: userId };
  const message: ChannelMessage = { type: "message", id, channel: text, data, at, ...user };
  const { complete, gone } = await fromStore(fanOut.send(key, JSON.stringify(message), scope, { except }));
  if (!complete) log(scope.logger, "warn", "There was no time to send a message to all", { messageId: id });
  return { result: { id }, fanOut: () => departures.removeGone(gone, scope, [key]) };
}

/** A stored message and the epoch of its channel. */
type Stored = Pick<AppendResult, "epoch" | "message">;

/**
 * Sends a stored message to whoever is in the channel. What fails stays unfinished in the store and is tried again, and
 * meanwhile its subscribers find out by the next position. Never rejects.
 * @param from where another has left it
 * @returns whether it has been sent to everyone
 */
export function fanOutStored(
  key: string,
  stored: Stored,
  scope: Scope,
  core: Core,
  from?: string,
): Promise<boolean> {
  const { offset } = stored.message;
  return core.secondTries.watch(key, offset, scope, () => sendStored(key, stored, scope, core, from));
}

async function sendStored(
  key: string,
  { epoch, message }: Stored,
  scope: Scope,
  { fanOut, departures, store: { history } }: Core,
  from: string | undefined,
): Promise<boolean> {
  const { offset, id } = message;
  const failed = (what: string) => (error: unknown) =>
    log(scope.logger, "error", what, { messageId: id, error });
  const checkpoint = (cursor: string) =>
    history.checkpoint(key, offset, cursor, scope.budget).catch(failed("A fan-out's place was not kept"));
  const isOfStream = partOf(key) === "streams";
  const channel = channelOf(key);
  const told = isOfStream ? streamMessage(channel, message) : channelMessage(channel, epoch, message);
  const members = isOfStream ? channelKeyOf(key) : key;
  try {
    const reached: Reached =
      told === undefined
        ? NOTHING_TO_TELL
        : await fanOut.send(members, JSON.stringify(told), scope, { from, reached: checkpoint });
    if (reached.complete) await history.markDelivered(key, offset, scope.budget);
    else log(scope.logger, "warn", "There was no time to send a message to all", { messageId: id });
    await departures.removeGone(reached.gone, scope, [members]);
    return reached.complete;
  } catch (error) {
    failed("A fan-out was left unfinished")(error);
    return false;
  }
}
