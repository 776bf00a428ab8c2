import { afterEach, describe, expect, it, vi } from "vitest";
import { connectEvent, disconnectEvent, messageEvent } from "../../lift/testing/index.ts";
import { createFlag, environmentFlag, type FlagOptions } from "../index.ts";
import { placeOf } from "./flag.ts";

const FIVE_PERCENT = '{"steps":[{"percent":5,"since":"2020-01-01"}]}';

/** An id whose place is below 5, and one whose is not. */
const ids = Array.from({ length: 200 }, (_, n) => `id-${n}`);
const early = ids.find((id) => placeOf(id) < 5)!;
const late = ids.find((id) => placeOf(id) >= 5)!;

const eventOf = (connectionId: string, authorizer?: Record<string, string>) =>
  messageEvent(
    "echo",
    {},
    {
      connectionId,
      ...(authorizer === undefined
        ? {}
        : { authorizer: { principalId: "p", integrationLatency: 1, ...authorizer } }),
    },
  );

function make(options: Partial<FlagOptions> & { read: () => unknown }) {
  const { read, ...rest } = options;
  const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const source = { read: vi.fn(read as () => string) };
  return { flag: createFlag({ source, logger, cacheMs: 0, ...rest }), source, logger };
}

afterEach(() => vi.useRealTimers());

describe("createFlag", () => {
  it("puts each event of a connection on the same side", async () => {
    const { flag } = make({ read: () => FIVE_PERCENT });
    for (const [connectionId, side] of [
      [early, "new"],
      [late, "old"],
    ] as const) {
      const events = [
        connectEvent({ connectionId }),
        eventOf(connectionId),
        disconnectEvent({ connectionId }),
      ];
      for (const event of events) expect(await flag.side(event)).toBe(side);
    }
  });

  it("decides by the user, the tenant or an id of the application", async () => {
    const read = () => FIVE_PERCENT;
    const of = (by: FlagOptions["by"], authorizer?: Record<string, string>) =>
      make({ read, by: by! }).flag.side(eventOf(late, authorizer));
    expect(await of("user", { sub: early })).toBe("new");
    expect(await of("user", { userId: early })).toBe("new");
    expect(await of("tenant", { sub: late, tenant_id: early })).toBe("new");
    expect(await of("tenant", { sub: early, tenantId: late })).toBe("old");
    expect(await of(() => early)).toBe("new");
  });

  it("decides by the connection when there is no other id", async () => {
    const { flag } = make({ read: () => FIVE_PERCENT, by: "user" });
    expect(await flag.side(eventOf(early))).toBe("new");
    expect(await flag.side(eventOf(early, { sub: "" }))).toBe("new");
  });

  it("picks other connections with another salt", async () => {
    const salted = ids.find((id) => placeOf(`s${id}`) < 5 && placeOf(id) >= 5)!;
    const { flag } = make({ read: () => FIVE_PERCENT, salt: "s" });
    expect(await flag.side(eventOf(salted))).toBe("new");
  });

  it("reads once for concurrent events, and again after `cacheMs`", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { flag, source } = make({ read: () => "true", cacheMs: 5_000 });
    await Promise.all([flag.side(eventOf("a")), flag.side(eventOf("b"))]);
    expect(source.read).toHaveBeenCalledTimes(1);
    vi.setSystemTime(Date.now() + 4_000);
    await flag.side(eventOf("a"));
    expect(source.read).toHaveBeenCalledTimes(1);
    vi.setSystemTime(Date.now() + 1_000);
    source.read.mockReturnValue("false");
    expect(await flag.side(eventOf("a"))).toBe("old");
  });

  it("reads again when the table is throttled", async () => {
    const { flag, source } = make({ read: () => "true" });
    source.read.mockImplementationOnce(() => {
      throw Object.assign(new Error("slow down"), { name: "ProvisionedThroughputExceededException" });
    });
    expect(await flag.side(eventOf("a"))).toBe("new");
  });

  it("uses the last value while the source fails, and logs it", async () => {
    const { flag, source, logger } = make({ read: () => "true" });
    expect(await flag.side(eventOf("a"))).toBe("new");
    source.read.mockImplementation(() => {
      throw new Error("down");
    });
    expect(await flag.side(eventOf("a"))).toBe("new");
    expect(logger.error).toHaveBeenCalledExactlyOnceWith(
      "The flag cannot be read; its last value serves",
      expect.objectContaining({ error: expect.objectContaining({ message: "down" }) }),
    );
  });

  it("uses the old side when the source has never answered, and does not ask again before `cacheMs`", async () => {
    const { flag, source } = make({ read: () => new Promise(() => {}), timeoutMs: 1, cacheMs: 60_000 });
    expect(await flag.side(eventOf("a"))).toBe("old");
    expect(await flag.side(eventOf("a"))).toBe("old");
    expect(source.read).toHaveBeenCalledTimes(1);
  });

  it.each(['{"steps":[{"percent":101,"since":"2020-01-01"}]}', "edited", 7, {}])(
    "uses the old side for the malformed value %j, also after a valid one, and logs it",
    async (value) => {
      const { flag, source, logger } = make({ read: () => "true" });
      await flag.side(eventOf("a"));
      source.read.mockReturnValue(value as never);
      expect(await flag.side(eventOf("a"))).toBe("old");
      expect(logger.error).toHaveBeenCalledTimes(1);
    },
  );

  it("uses the old side when `by` throws, or an event has no date", async () => {
    const by = () => {
      throw new Error("broken");
    };
    const { flag, logger } = make({ read: () => "true", by });
    expect(await flag.side(eventOf("a"))).toBe("old");
    expect(logger.error).toHaveBeenCalledTimes(1);
    const undated = eventOf("a");
    Object.assign(undated.requestContext, { connectedAt: undefined });
    expect(await make({ read: () => FIVE_PERCENT }).flag.side(undated)).toBe("old");
  });

  it.each([
    [{}],
    [{ source: {} }],
    [{ source: { read() {} }, by: "room" }],
    [{ source: { read() {} }, cacheMs: -1 }],
  ])("rejects the options %j with INVALID_OPTION", (options) => {
    expect(() => createFlag(options as never)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});

describe("environmentFlag", () => {
  it.each([
    ["true", "new"],
    ["false", "old"],
    [undefined, "old"],
  ])("with USE_LIFT_V2=%s is %s for all", async (value, side) => {
    const flag = createFlag({ source: environmentFlag(undefined, { USE_LIFT_V2: value }) });
    for (const id of [early, late]) expect(await flag.side(eventOf(id))).toBe(side);
  });

  it("reads another variable", async () => {
    const flag = createFlag({ source: environmentFlag("MINE", { MINE: FIVE_PERCENT }) });
    expect(await flag.side(eventOf(early))).toBe("new");
    expect(await flag.side(eventOf(late))).toBe("old");
  });
});
