import { expect, it } from "vitest";
import { Turns } from "./turns.ts";

it("begins what is done under a name when what came before has ended, however it ended", async () => {
  const turns = new Turns();
  const done: string[] = [];
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const first = turns.take("a", async () => {
    await opened;
    done.push("first");
    throw new Error("failed");
  });
  const second = turns.take("a", async () => done.push("second"));
  await turns.take("b", async () => done.push("another name"));
  open();
  await expect(first).rejects.toThrow("failed");
  await second;
  expect(done).toEqual(["another name", "first", "second"]);
});
