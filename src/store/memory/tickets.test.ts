import { describe, expect, it } from "vitest";
import { ticketStoreCases } from "../contracts/cases.ts";
import { memoryTicketStore } from "./index.ts";
import { MemoryTicketStore } from "./tickets.ts";

const NOW = Date.UTC(2026, 0, 1);

ticketStoreCases({ describe, it }, "memory tickets", memoryTicketStore);

it("evicts expired tickets on save", async () => {
  let now = NOW;
  const tickets = new MemoryTicketStore(() => now);
  await tickets.save("long", { n: 1 }, NOW + 3_600_000);
  for (let n = 0; n < 20_000; n++) await tickets.save(`h${n}`, {}, now++ + 100);
  expect(tickets.size).toBeLessThan(1_500);
  expect(await tickets.take("long", now)).toEqual({ n: 1 });
  expect(await tickets.take("h19999", now)).toEqual({});
});

it("checks two tickets per save, and none up to a thousand tickets", async () => {
  const tickets = new MemoryTicketStore(() => NOW);
  for (let n = 0; n < 1_000; n++) await tickets.save(`h${n}`, {}, NOW);
  expect(tickets.size).toBe(1_000);
  await tickets.save("last", {}, NOW + 1);
  expect(tickets.size).toBe(999);
});

it("evicts tickets that have expired by the clock of the `now` option", async () => {
  const later = NOW + 1e12;
  const tickets = memoryTicketStore({ now: () => later });
  for (let n = 0; n <= 1_000; n++) await tickets.save(`h${n}`, {}, later);
  expect(await tickets.take("h0", NOW)).toBeUndefined();
});

it("evicts two expired tickets on take", async () => {
  const tickets = new MemoryTicketStore(() => NOW);
  for (const hash of ["a", "b", "c", "d"]) await tickets.save(hash, {}, NOW);
  await tickets.take("d", NOW);
  expect(tickets.size).toBe(1);
});

it("keeps unexpired tickets", async () => {
  const tickets = new MemoryTicketStore(() => NOW);
  for (let n = 0; n < 3_000; n++) await tickets.save(`h${n}`, { n }, NOW + 1);
  expect(tickets.size).toBe(3_000);
  expect(await tickets.take("h0", NOW)).toEqual({ n: 0 });
});
