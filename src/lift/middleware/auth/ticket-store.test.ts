import { describe, expect, it, vi } from "vitest";
import { memoryTicketStore } from "../../../store/memory/index.ts";
import { mintTicket, redeemTicket } from "./ticket-store.ts";

const NOW = Date.UTC(2026, 0, 1);
const SKEW = 5 * 60_000;
const budget = { getRemainingTimeInMillis: () => 1_000 };

describe("a ticket", () => {
  it("is stored as its hash for 30 seconds, with the identity", async () => {
    const save = vi.fn().mockResolvedValue(undefined);
    const store = { save, take: vi.fn() };
    const identity = { userId: "ada", tenantId: "acme", roles: ["r"], permissions: ["p"], expiresAt: 7 };
    const { ticket, expiresAt } = await mintTicket(store, identity, NOW, budget);
    expect(ticket).toMatch(/^[\w-]{43}$/);
    expect(expiresAt).toBe(NOW + 30_000);
    const [hash, content, end, given] = save.mock.calls[0]!;
    expect(hash).toMatch(/^[\w-]{43}$/);
    expect(hash).not.toBe(ticket);
    expect([content, end, given]).toEqual([{ ...identity, mintedAt: NOW }, NOW + 30_000, budget]);
    await mintTicket(store, { userId: "ada" }, NOW, budget);
    // A store may refuse `undefined`.
    expect(save.mock.calls[1]![1]).toStrictEqual({
      userId: "ada",
      roles: [],
      permissions: [],
      mintedAt: NOW,
    });
  });

  it("returns its identity once", async () => {
    const store = memoryTicketStore({ now: () => NOW });
    const { ticket } = await mintTicket(store, { userId: "ada", tenantId: "acme" }, NOW, budget);
    expect(await redeemTicket(store, ticket, NOW)).toEqual({
      userId: "ada",
      tenantId: "acme",
      roles: [],
      permissions: [],
      expiresAt: undefined,
    });
    await expect(redeemTicket(store, ticket, NOW)).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      cause: "The ticket is unknown, used or expired",
    });
  });

  it.each([
    [NOW + SKEW, true],
    [NOW + SKEW + 1, false],
    [NOW - SKEW - 1, true],
    [undefined, true],
  ])("minted at %s is accepted: %s", async (mintedAt, accepted) => {
    const content = { userId: "ada", ...(mintedAt === undefined ? {} : { mintedAt }) };
    const store = { save: vi.fn(), take: vi.fn().mockResolvedValue(content) };
    const redeemed = redeemTicket(store, "ticket", NOW, budget);
    if (accepted) expect(await redeemed).toMatchObject({ userId: "ada" });
    else await expect(redeemed).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(store.take).toHaveBeenCalledWith(expect.stringMatching(/^[\w-]{43}$/), NOW, budget);
  });
});
