// Long requests in bundled Lambda functions: the dispatcher on the table's stream, and workers that it invokes.
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Connection, type Frame, StreamerFunctions } from "./streamer-functions.ts";

let functions: StreamerFunctions;

beforeAll(async () => {
  functions = await StreamerFunctions.start("worker", "crashing-worker.ts");
});

afterAll(() => functions?.stop());

const connect = (sub: string): Promise<Connection> => functions.connect(sub);

describe("long requests on Lambda bundles", () => {
  it("have a dispatcher, workers and a table", () => {
    expect(functions.lift.output).toMatch(/^Functions {2,}(?=.*dispatch)(?=.*router)/m);
    expect(functions.lift.output).toMatch(/^DynamoDB .*REQUESTS-\S+\)$/m);
  });

  it("are started by the table's stream, and send their result to the requester", async () => {
    const ada = await connect("ada");
    ada.send("report", "generate_report", { start_date: "2026-01-01", end_date: "2026-01-03" });
    await ada.receiveFor("report", "acknowledgment");
    await ada.receiveFor("report", "progress");
    const { result } = await ada.receiveFor("report", "complete");
    expect(result).toMatchObject({ file: "sales.csv", days: 3 });
    await functions.lift.prints(/^dispatch +REPORT/m);
    await functions.lift.prints(/^worker +REPORT/m);
    const phone = await connect("ada");
    phone.send("info", "request", { request: "report" });
    expect((await phone.receiveFor("info", "response")).data).toMatchObject({
      state: "COMPLETED",
      attempt: 1,
    });
    const bob = await connect("bob");
    bob.send("info", "request", { request: "report" });
    expect((await bob.receiveFor("info", "error")).error).toMatchObject({ code: "NOT_FOUND" });
  });

  it("are watched by another connection, which gets the whole output", async () => {
    await functions.hold();
    const ada = await connect("ada");
    ada.send("story", "tell_story", {});
    await ada.receiveFor("story", "acknowledgment");
    const phone = await connect("ada");
    const position = { epoch: "output", offset: 0 };
    phone.send("watch", "subscribe", { channels: [{ channel: "request:story", position }] });
    const { data } = await phone.receiveFor("watch", "response");
    await functions.release();
    const { output } = await phone.receiveFor("story", "complete");
    const textOf = (frames: Frame[]) =>
      frames
        .filter(({ channel, position: at }) => channel === "request:story" && at.offset <= output)
        .map((frame) => frame.data.text ?? "")
        .join("");
    await vi.waitFor(() => {
      const missed = data.channels[0].messages.map((it: Frame) => ({ ...it, channel: "request:story" }));
      expect(textOf([...missed, ...phone.messages()])).toMatch(/^A message set out .* to the end\.$/);
    });
  });

  it("are cancelled from another connection", async () => {
    await functions.hold();
    const [ada, phone] = [await connect("ada"), await connect("ada")];
    ada.send("long", "tell_story", {});
    await ada.receiveFor("long", "progress");
    phone.send("stop", "cancel", { request: "long" });
    expect((await phone.receiveFor("stop", "response")).data).toEqual({ state: "CANCELLED" });
    expect((await ada.receiveFor("long", "error")).error).toMatchObject({ code: "CANCELLED" });
    await functions.release();
  });

  it("continue from their checkpoint when a worker is killed", async () => {
    const ada = await connect("ada");
    ada.send("data", "process_data", { dataset_id: "orders" });
    const { result } = await ada.receiveFor("data", "complete");
    // Each stage adds its number times the length of the name, once.
    expect(result).toEqual({ dataset_id: "orders", operation: "sum", value: 90, attempts: 2 });
    expect(functions.lift.output).toMatch(/Runtime\.ExitError.*signal: SIGKILL/);
  });
});
