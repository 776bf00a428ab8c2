import type {
  HistoryPage,
  HistoryQuery,
  NewMessage,
  PendingFanOut,
  Retention,
} from "../../src/store/index.ts";
import type { ChannelsUnderTest } from "../channels.cases.ts";

export const MINUTE = 60_000;
export const BOUNDS: Retention = { size: 100, ageMs: 5 * MINUTE };

/** Calls of a history with what most tests have in common. @param world the one of the test that runs */
export function historyDriver(world: () => ChannelsUnderTest) {
  const history = () => world().store.history;
  const message = (id: string, overrides: Partial<NewMessage> = {}): NewMessage => ({
    id,
    data: { id },
    at: world().now(),
    ...overrides,
  });
  const append = (channel: string, id: string, overrides: Partial<NewMessage> = {}, retention = BOUNDS) =>
    history().append(channel, message(id, overrides), retention);
  const read = (channel: string, query: Partial<HistoryQuery> = {}): Promise<HistoryPage> =>
    history().read(channel, { limit: 100, retention: BOUNDS, now: world().now(), ...query });
  const fill = async (channel: string, length: number, retention = BOUNDS): Promise<void> => {
    for (let n = 1; n <= length; n++) await append(channel, `m${n}`, {}, retention);
  };
  const unfinished = async (before = world().now() + 1): Promise<PendingFanOut[]> => {
    const found: PendingFanOut[] = [];
    for await (const each of history().listPendingFanOuts(before)) found.push(each);
    return found.sort((a, b) => a.message.offset - b.message.offset);
  };
  return { message, append, read, fill, unfinished };
}

export function ids(page: HistoryPage): string[] {
  return page.messages.map(({ id }) => id);
}

export function offsets(page: HistoryPage): number[] {
  return page.messages.map(({ offset }) => offset);
}
