import assert from "node:assert/strict";
import { type TestRunner, withSetUp } from "./test-runner.ts";
import type { TicketStore } from "./tickets.ts";

/** In the future, because the clock of DynamoDB Local cannot be moved, and its TTL would remove earlier items. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;

/**
 * Defines a test for every guarantee of `TicketStore`.
 * @param create creates an empty store for each test
 * @example
 * ticketStoreCases({ describe, it }, "my ticket store", () => myTicketStore());
 */
export function ticketStoreCases(
  runner: TestRunner,
  title: string,
  create: () => Promise<TicketStore> | TicketStore,
): void {
  runner.describe(title, () => {
    let tickets: TicketStore;

    const it = withSetUp(runner.it, async () => {
      tickets = await create();
    });

    it("returns a ticket's content once", async () => {
      const content = { userId: "ada", list: ["", { deep: null }], ["__proto__"]: "own" };
      await tickets.save("a", content, NOW + 1);
      assert.deepEqual(await tickets.take("a", NOW), content);
      assert.equal(await tickets.take("a", NOW), undefined);
    });

    it("returns it to one of a hundred concurrent calls", async () => {
      await tickets.save("a", { n: 1 }, NOW + 1);
      const taken = await Promise.all(Array.from({ length: 100 }, () => tickets.take("a", NOW)));
      assert.deepEqual(
        taken.filter((content) => content !== undefined),
        [{ n: 1 }],
      );
    });

    it("returns undefined for an expired or unknown ticket", async () => {
      await tickets.save("a", {}, NOW);
      await tickets.save("b", {}, NOW + 1);
      assert.equal(await tickets.take("a", NOW), undefined);
      assert.deepEqual(await tickets.take("b", NOW), {});
      assert.equal(await tickets.take("__proto__", NOW), undefined);
    });

    it("keeps other tickets when one is taken", async () => {
      await tickets.save("a", { n: 1 }, NOW + 1);
      await tickets.save("b", { n: 2 }, NOW + 1);
      await tickets.take("a", NOW);
      assert.deepEqual(await tickets.take("b", NOW), { n: 2 });
    });
  });
}
