import { beforeEach, describe, expect, it } from "vitest";
import type { TicketStore } from "../src/store/index.ts";

/** Not in the past: DynamoDB Local's clock can't be moved, and its TTL would remove what is over. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;

/** Everything that `TicketStore` promises, for any backend. `make` gives an empty one. */
export function ticketCases(name: string, make: () => Promise<TicketStore> | TicketStore): void {
  describe(name, () => {
    let tickets: TicketStore;

    beforeEach(async () => {
      tickets = await make();
    });

    it("gives what a ticket stands for once", async () => {
      const content = { userId: "ada", list: ["", { deep: null }], ["__proto__"]: "own" };
      await tickets.save("a", content, NOW + 1);
      expect(await tickets.take("a", NOW)).toEqual(content);
      expect(await tickets.take("a", NOW)).toBeUndefined();
    });

    it("gives it to one of a hundred that take it at once", async () => {
      await tickets.save("a", { n: 1 }, NOW + 1);
      const taken = await Promise.all(Array.from({ length: 100 }, () => tickets.take("a", NOW)));
      expect(taken.filter((content) => content !== undefined)).toEqual([{ n: 1 }]);
    });

    it("gives nothing for a ticket whose time is over, or that never was", async () => {
      await tickets.save("a", {}, NOW);
      await tickets.save("b", {}, NOW + 1);
      expect(await tickets.take("a", NOW)).toBeUndefined();
      expect(await tickets.take("b", NOW)).toEqual({});
      expect(await tickets.take("__proto__", NOW)).toBeUndefined();
    });

    it("keeps one ticket when another is taken", async () => {
      await tickets.save("a", { n: 1 }, NOW + 1);
      await tickets.save("b", { n: 2 }, NOW + 1);
      await tickets.take("a", NOW);
      expect(await tickets.take("b", NOW)).toEqual({ n: 2 });
    });
  });
}
