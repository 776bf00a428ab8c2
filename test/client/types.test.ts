// One definition of the channels types the server's calls and the client's.
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import {
  type ChannelIn,
  type Client,
  createClient,
  type Job,
  type JsonNamespaces,
  type Namespaces,
} from "../../src/client/index.ts";
import type { Json } from "../../src/protocol/index.ts";
import { memoryChannelStore } from "../../src/store/memory/index.ts";
import { createStreamer, type Streamer, type StreamerOptions } from "../../src/streamer/index.ts";

interface Mood {
  mood: string;
}

const streamer = createStreamer({
  channels: {
    room: {
      presence: true,
      subscribe: ({ userId }) => userId !== undefined,
      schema: z.object({
        text: z.string(),
        to: z.string().default("all"),
        on: z.string().pipe(z.coerce.date()),
        aside: z.boolean().optional(),
      }),
      stateSchema: z.custom<Mood>(),
    },
    flash: { delivery: "at-most-once", schema: z.union([z.literal("on"), z.literal("off")]) },
    user: {},
  },
  store: memoryChannelStore(),
});

interface Given {
  text: string;
  to?: string | undefined;
  on: string;
  aside?: boolean | undefined;
}

interface Got {
  text: string;
  to: string;
  on: string;
  aside?: boolean | undefined;
}

/** Never called: it is the compiler that finds the mistakes. */
function compiled(_calls: () => unknown): void {
  expect.assertions(0);
}

describe("the server's calls", () => {
  it("accept the input of the namespace's schema", () =>
    compiled(() => {
      const name: string = "lobby";
      void streamer.publish("room:lobby", { text: "hi", on: "2026-01-01" });
      void streamer.publish(`room:${name}`, { text: "hi", to: "ada", on: "2026-01-01" }, { key: "k" });
      void streamer.publish("flash:a", "on");
      void streamer.publish("user:ada", { anything: [1] });
      // @ts-expect-error `on` is missing
      void streamer.publish("room:lobby", { text: "hi" });
      // @ts-expect-error it is sent as text
      void streamer.publish("room:lobby", { text: "hi", on: new Date() });
      // @ts-expect-error another namespace's
      void streamer.publish("flash:a", { text: "hi", on: "2026-01-01" });
      // @ts-expect-error no JSON
      void streamer.publish("user:ada", () => {});
    }));

  it("know the namespaces", () =>
    compiled(() => {
      const name: string = "lobby";
      void streamer.count("room:lobby");
      // @ts-expect-error no such namespace
      void streamer.publish("rooms:lobby", 1);
      // @ts-expect-error no such namespace
      void streamer.history("rooms:lobby");
      // @ts-expect-error no such namespace
      streamer.presence("rooms:lobby");
      // @ts-expect-error a namespace alone
      void streamer.count("room");
      // @ts-expect-error it may be of any
      void streamer.count(name);
    }));

  it("return the output of the schema, as JSON", () =>
    compiled(async () => {
      const { messages } = await streamer.history("room:lobby");
      expectTypeOf(messages[0]!.data).toEqualTypeOf<Got>();
      expectTypeOf((await streamer.history("flash:a")).messages[0]!.data).toEqualTypeOf<"on" | "off">();
      expectTypeOf((await streamer.history("user:ada")).messages[0]!.data).toEqualTypeOf<Json>();
      for await (const { state } of streamer.presence("room:lobby")) {
        expectTypeOf(state).toEqualTypeOf<Mood | undefined>();
      }
    }));

  it("use JSON where the namespaces are unknown", () =>
    compiled(async () => {
      const options = {} as StreamerOptions;
      const any = createStreamer(options);
      expectTypeOf(any).toExtend<Streamer>();
      const name: string = "room:lobby";
      void any.publish(name, { anything: 1 });
      expectTypeOf((await any.history(name)).messages[0]!.data).toEqualTypeOf<Json>();
    }));

  it("check the names of the options", () =>
    compiled(() => {
      const store = memoryChannelStore();
      const schema = z.string();
      // @ts-expect-error misspelt
      createStreamer({ channels: { room: { presense: true, schema } }, store });
      // @ts-expect-error not its type
      createStreamer({ channels: { room: { presence: 1, schema } }, store });
      // @ts-expect-error no Standard Schema
      createStreamer({ channels: { room: { schema: {} } }, store });
    }));
});

describe("the client's calls", () => {
  const make = () => createClient<typeof streamer>({ url: "ws://127.0.0.1" });

  it("accept the input of the namespace's schema", () =>
    compiled(() => {
      const client = make();
      void client.publish("room:lobby", { text: "hi", on: "2026-01-01" }, { ordered: false });
      void client.publish("user:ada", [1]);
      void client.setPresence("room:lobby", { mood: "good" });
      void client.setPresence("room:lobby", undefined);
      client.subscribe("room:lobby", { state: { mood: "good" } });
      // @ts-expect-error no such value
      void client.publish("flash:a", "dim");
      // @ts-expect-error of another type
      void client.setPresence("room:lobby", { mood: 1 });
      // @ts-expect-error of another type
      client.subscribe("room:lobby", { state: 1 });
      expectTypeOf(client.publish<"room:a">)
        .parameter(1)
        .toEqualTypeOf<Given>();
    }));

  it("know the namespaces", () =>
    compiled(() => {
      const client = make();
      // @ts-expect-error no such namespace
      void client.publish("rooms:lobby", 1);
      // @ts-expect-error no such namespace
      client.subscribe("rooms:lobby");
      // @ts-expect-error no such namespace
      void client.history("rooms:lobby");
      // @ts-expect-error no such namespace
      void client.presence("rooms:lobby");
      // @ts-expect-error no such namespace
      void client.setPresence("rooms:lobby", undefined);
      // @ts-expect-error no such namespace
      client.members("rooms:lobby");
    }));

  it("return the output of the schema, as JSON", () =>
    compiled(async () => {
      const client = make();
      const room = client.subscribe("room:lobby", {
        onMessage: ({ data }) => expectTypeOf(data).toEqualTypeOf<Got>(),
        onPresence: ({ state }) => expectTypeOf(state).toEqualTypeOf<Mood | undefined>(),
      });
      for await (const { data } of room) expectTypeOf(data).toEqualTypeOf<Got>();
      for await (const { data } of client.subscribe("user:ada")) expectTypeOf(data).toEqualTypeOf<Json>();
      const { messages } = await client.history("flash:a");
      expectTypeOf(messages[0]!.data).toEqualTypeOf<"on" | "off">();
      const { users } = await client.presence("room:lobby");
      expectTypeOf(users[0]!.state).toEqualTypeOf<Mood | undefined>();
      client.members("room:lobby").onChange(({ users }) => {
        expectTypeOf(users.get("ada")?.state).toEqualTypeOf<Mood | undefined>();
      });
    }));

  it("use JSON without the server's type", () =>
    compiled(async () => {
      const client = createClient({ url: "ws://127.0.0.1" });
      expectTypeOf(client).toEqualTypeOf<Client>();
      const name: string = "room:lobby";
      void client.publish(name, { anything: 1 });
      // @ts-expect-error no JSON
      void client.publish(name, () => {});
      for await (const { data } of client.subscribe(name)) expectTypeOf(data).toEqualTypeOf<Json>();
      // @ts-expect-error no server
      createClient<string>({ url: "ws://127.0.0.1" });
    }));
});

describe("requests", () => {
  interface Report {
    input: { year: number };
    result: { rows: number };
    progress: { step: string };
  }
  interface Server {
    readonly "~channels"?: { readonly room: JsonNamespaces[string] };
    readonly "~requests"?: {
      readonly report: Report;
      readonly ping: { input: null; result: "pong"; progress: never };
    };
  }

  it("accept the input of their action, and return its result and progress", () =>
    compiled(async () => {
      const client = createClient<Server>({ url: "ws://127.0.0.1" });
      const job = client.request("report", { year: 2026 }, { onProgress: ({ details }) => details?.step });
      expectTypeOf(await job).toEqualTypeOf<{ rows: number }>();
      for await (const { details } of job.progress)
        expectTypeOf(details).toEqualTypeOf<{ step: string } | undefined>();
      for await (const chunk of job.output) expectTypeOf(chunk).toEqualTypeOf<Json>();
      expectTypeOf(client.request("ping", null)).resolves.toEqualTypeOf<"pong">();
      expectTypeOf(client.attach<"report">("id")).resolves.toEqualTypeOf<{ rows: number }>();
      expectTypeOf(client.attach("id")).resolves.toEqualTypeOf<{ rows: number } | "pong">();
      // @ts-expect-error the year is a number
      client.request("report", { year: "2026" });
      // @ts-expect-error no such action
      client.request("reports", { year: 2026 });
    }));

  it("have the types of the app's own routes that answer", () =>
    compiled(async () => {
      const app = streamer.app
        .webSocket(
          "pay",
          { input: z.object({ cents: z.number(), on: z.date() }), output: z.object({ paid: z.date() }) },
          (ctx) => ({ paid: ctx.input.on }),
        )
        .webSocket("ping", { output: z.literal("pong") }, () => "pong" as const)
        .webSocket("silent", () => {});
      const client = createClient<typeof streamer & typeof app>({ url: "ws://127.0.0.1" });
      expectTypeOf(await client.request("pay", { cents: 5, on: "2026-01-01" })).toEqualTypeOf<{
        paid: string;
      }>();
      expectTypeOf(client.request("ping", { anything: 1 })).resolves.toEqualTypeOf<"pong">();
      void client.publish("room:lobby", { text: "hi", on: "2026-01-01" });
      // @ts-expect-error the amount is missing
      client.request("pay", { on: "2026-01-01" });
      // @ts-expect-error a date is sent as text
      client.request("pay", { cents: 5, on: new Date() });
      // @ts-expect-error the route does not answer
      client.request("silent", null);
      // @ts-expect-error no such route
      client.request("refund", null);
    }));

  it("have the types of routes beside the Streamer's own requests", () =>
    compiled(() => {
      const server = streamer.request("count", { input: z.number(), output: z.string() }, String);
      const app = server.app.webSocket("ping", { output: z.literal("pong") }, () => "pong" as const);
      type Server = typeof server & typeof app;
      const client = createClient<Server>({ url: "ws://127.0.0.1" });
      expectTypeOf(client.request("count", 5)).resolves.toEqualTypeOf<string>();
      expectTypeOf(client.request("ping", null)).resolves.toEqualTypeOf<"pong">();
      // @ts-expect-error of another type
      client.request("count", "5");
      // @ts-expect-error the app alone has the routes only
      createClient<typeof app>({ url: "ws://127.0.0.1" }).request("count", 5);
      // @ts-expect-error an app without such routes has no types
      createClient<typeof server.app>({ url: "ws://127.0.0.1" });
    }));

  it("use JSON without the server's type, and for a server whose type has none", () =>
    compiled(() => {
      const client = createClient({ url: "ws://127.0.0.1" });
      expectTypeOf(client.request("anything", [1])).toEqualTypeOf<Job>();
      const other = createClient<{ readonly "~channels"?: JsonNamespaces }>({ url: "ws://127.0.0.1" });
      expectTypeOf(other.request("anything", { a: 1 })).toEqualTypeOf<Job>();
      // @ts-expect-error no JSON
      client.request("anything", () => {});
    }));
});

it("works in functions generic over servers and clients", () =>
  compiled(() => {
    const client = createClient<typeof streamer>({ url: "ws://127.0.0.1" });
    const texts = <Types extends Namespaces, Channel extends ChannelIn<Types>>(
      from: Streamer<Types> | Client<Types>,
      channel: Channel,
    ) => from.history(channel);
    expectTypeOf(texts(streamer, "room:lobby")).resolves.toHaveProperty("messages");
    expectTypeOf(texts(client, "flash:a")).resolves.toHaveProperty("messages");
    // @ts-expect-error no such namespace
    texts(client, "rooms:lobby");
    // @ts-expect-error it takes less than one that takes all
    expectTypeOf(client).toExtend<Client>();
  }));
