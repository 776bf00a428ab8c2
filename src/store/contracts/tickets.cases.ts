import assert from "node:assert/strict";
import { type TestRunner, withSetUp } from "./test-runner.ts";
import type { TicketStore } from "./tickets.ts";

/** Not in the past: DynamoDB Local's clock can't be moved, and its TTL would remove what is over. */
const NOW = Math.ceil(Date.now() / 3_600_000) * 3_600_000;

/**
 * Everything that `TicketStore` promises, for any backend. `create` gives an empty one.
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

    it("gives what a ticket stands for once", async () => {
      const content = { userId: "ada", list: ["", { deep: null }], ["__proto__"]: "own" };
      await tickets.save("a", content, NOW + 1);
      assert.deepEqual(await tickets.take("a", NOW), content);
      assert.equal(await tickets.take("a", NOW), undefined);
    });

    it("gives it to one of a hundred that take it at once", async () => {
      await tickets.save("a", { n: 1 }, NOW + 1);
      const taken = await Promise.all(Array.from({ length: 100 }, () => tickets.take("a", NOW)));
      assert.deepEqual(
        taken.filter((content) => content !== undefined),
        [{ n: 1 }],
      );
    });

    it("gives nothing for a ticket whose time is over, or that never was", async () => {
      await tickets.save("a", {}, NOW);
      await tickets.save("b", {}, NOW + 1);
      assert.equal(await tickets.take("a", NOW), undefined);
      assert.deepEqual(await tickets.take("b", NOW), {});
      assert.equal(await tickets.take("__proto__", NOW), undefined);
    });

    it("keeps one ticket when another is taken", async () => {
      await tickets.save("a", { n: 1 }, NOW + 1);
      await tickets.save("b", { n: 2 }, NOW + 1);
      await tickets.take("a", NOW);
      assert.deepEqual(await tickets.take("b", NOW), { n: 2 });
    });
  });
}
