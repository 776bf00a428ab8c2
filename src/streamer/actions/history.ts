import { type HistoryPayload, type HistoryResult, LIMITS } from "../../protocol/index.ts";
import type { HistoryPage, HistoryQuery, Position, TimeBudget } from "../../store/index.ts";
import type { Core, Session } from "../core.ts";
import { fromStore } from "../fan-out/errors.ts";
import { channelMessages, Space } from "../messages.ts";
import { assertMay, boundsOf, type Channel } from "../namespaces.ts";
import { answer, response } from "../responses.ts";
import { type Recovery, recovery } from "./recovery.ts";

/** Which part of a history. */
export type HistoryRequest = Omit<HistoryPayload, "channel">;

export async function history(
  { channel: text, ...which }: HistoryPayload,
  session: Session,
  core: Core,
): Promise<void> {
  const channel = core.channels.find(text, session.identity.tenantId);
  await assertMay("subscribe", session.identity, channel);
  const { messages, ...rest } = await readHistory(channel, which, core, session.budget);
  const space = new Space(response(session.requestId, { ...rest, messages: [] }));
  const fitting = which.after === undefined ? space.last(messages) : space.first(messages);
  const more = rest.more || fitting.length < messages.length;
  await answer<"history">(session, { ...rest, messages: fitting, more });
}

/** @throws {LiftError} NOT_FOUND, STORE_FAILED */
export async function readHistory(
  channel: Channel,
  { after, before, limit = LIMITS.messages }: HistoryRequest,
  core: Core,
  budget: TimeBudget | undefined,
): Promise<HistoryResult> {
  if (after !== undefined) {
    const { messages, ...rest } = await readAfter(channel, after, limit, core, budget);
    return { messages: channelMessages(channel.text, rest.position.epoch, messages), ...rest };
  }
  const query = before === undefined ? { limit } : { before, limit };
  const { head, messages, more } = await readPage(channel, query, core, budget);
  return { messages: channelMessages(channel.text, head.epoch, messages), position: head, more };
}

/** @throws {LiftError} NOT_FOUND, STORE_FAILED */
export async function readAfter(
  channel: Channel,
  after: Position,
  limit: number,
  core: Core,
  budget: TimeBudget | undefined,
): Promise<Recovery> {
  const read = () => readPage(channel, { after: after.offset, limit }, core, budget);
  return recovery(await read(), after, false) ?? recovery(await read(), after, true)!;
}

/** @throws {LiftError} NOT_FOUND, STORE_FAILED */
export async function readPage(
  channel: Channel,
  query: Pick<HistoryQuery, "after" | "before" | "limit">,
  { store, now }: Core,
  budget: TimeBudget | undefined,
): Promise<HistoryPage> {
  return fromStore(
    store.history.read(channel.key, { ...query, retention: boundsOf(channel), now: now() }, budget),
  );
}
