// Streamer as bundled Lambda functions, with the table stream of the messages.
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Connection, StreamerFunctions } from "./streamer-functions.ts";

let functions: StreamerFunctions;

beforeAll(async () => {
  functions = await StreamerFunctions.start("router", "crashing-publisher.ts");
});

afterAll(() => functions?.stop());

async function connect(sub: string, channel: string): Promise<Connection> {
  const connection = await functions.connect(sub);
  connection.send("subscribe", "subscribe", { channels: [{ channel }] });
  await connection.receiveFor("subscribe", "response");
  return connection;
}

/** Waits until each connection has received that many messages. */
const haveReceived = (connections: readonly Connection[], count: number) =>
  vi.waitFor(() =>
    expect(connections.map((connection) => connection.messages().length)).toEqual(
      connections.map(() => count),
    ),
  );

const dataOf = (connection: Connection) => connection.messages().map(({ data }) => data);

describe("the streamer example on Lambda bundles", () => {
  it("has a function for each task, and shared tables", () => {
    expect(functions.lift.output).toMatch(
      /^Functions {2,}(?=.*connect)(?=.*disconnect)(?=.*router)(?=.*tick)(?=.*fanout)(?=.*dispatch)/m,
    );
    expect(functions.lift.output).toMatch(
      /^DynamoDB .*\(CONNECTIONS-\S+ {2}SCHEDULE-\S+ {2}MESSAGES-\S+ {2}MEMBERS-\S+ {2}REQUESTS-\S+\)$/m,
    );
  });

  it("delivers a message, and the table stream does not deliver it again", async () => {
    const [ada, bob] = [await connect("ada", "room:tea"), await connect("bob", "room:tea")];
    ada.send("publish", "publish", { channel: "room:tea", data: "hello" });
    await haveReceived([ada, bob], 1);
    await functions.lift.prints(/^fanout +REPORT/m);
    expect([dataOf(ada), dataOf(bob)]).toEqual([["hello"], ["hello"]]);
  });

  it("delivers a message whose publisher was killed after storing it", async () => {
    const [ada, bob] = [await connect("ada", "room:crash"), await connect("bob", "room:crash")];
    ada.send("publish", "publish", { channel: "room:crash", data: "die" });
    await haveReceived([ada, bob], 1);
    expect(functions.lift.output).toMatch(/Runtime\.ExitError.*signal: SIGKILL/);
    expect(bob.messages()[0]).toMatchObject({
      channel: "room:crash",
      data: "die",
      user: "ada",
      position: { offset: 1 },
    });
    bob.send("publish", "publish", { channel: "room:crash", data: "alive" });
    await haveReceived([ada], 2);
    expect(dataOf(ada)).toEqual(["die", "alive"]);
  });

  it("allows only the owner to draw", async () => {
    const [ada, bob] = [await connect("ada", "ink:ada"), await connect("bob", "ink:ada")];
    bob.send("publish", "publish", { channel: "ink:ada", data: "mine" });
    await bob.receive(({ error }) => error?.code === "FORBIDDEN");
    ada.send("publish", "publish", { channel: "ink:ada", data: "a stroke" });
    await haveReceived([bob], 1);
    expect(dataOf(bob)).toEqual(["a stroke"]);
  });

  it("shows a live stream to all viewers until its owner does not return", async () => {
    const [ada, bob] = [await connect("ada", "stage:tea"), await connect("bob", "stage:tea")];
    ada.send("stream_start", "stream_start", { channel: "stage:tea", data: "Tea" });
    const live = { user: "ada", viewers: 2, data: "Tea" };
    expect(await bob.receive(({ type }) => type === "stream_started")).toMatchObject({ live });
    const late = await connect("late", "stage:tea");
    const { channels } = late.frames.find(({ request_id }) => request_id === "subscribe").data;
    expect(channels[0].live).toMatchObject({ user: "ada", data: "Tea" });
    await bob.receive(({ type, count }) => type === "viewers" && count === 3);
    ada.socket.close();
    await bob.receive(({ type }) => type === "stream_ended");
    expect(bob.frames.at(-1)).toMatchObject({ user: "ada", reason: "owner_left" });
  });

  it("ends the stream at once on request", async () => {
    functions.lift.signal("SIGINT");
    expect(await functions.lift.exited).toBe(0);
  });
});
