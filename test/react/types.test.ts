// One definition of the channels types the hooks as well.
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { createClient } from "../../src/client/index.ts";
import type { Json } from "../../src/protocol/index.ts";
import * as untyped from "../../src/react/index.ts";
import { createHooks, type Hooks } from "../../src/react/index.ts";
import { memoryChannelStore } from "../../src/store/memory/index.ts";
import { createStreamer } from "../../src/streamer/index.ts";

interface Mood {
  mood: string;
}

const streamer = createStreamer({
  channels: {
    room: {
      presence: true,
      schema: z.object({ text: z.string(), to: z.string().default("all") }),
      stateSchema: z.custom<Mood>(),
    },
    flash: { delivery: "at-most-once", schema: z.union([z.literal("on"), z.literal("off")]) },
    user: {},
  },
  store: memoryChannelStore(),
});

const hooks = createHooks<typeof streamer>();

/** Never called: it is the compiler that finds the mistakes. */
function compiled(_calls: () => unknown): void {
  expect.assertions(0);
}

it("are the same functions as those without types", () => {
  const { ClientProvider, useClient, useConnectionState, useChannel, useMembers } = untyped;
  const { useRequest, useRequests } = untyped;
  expect(hooks).toEqual({
    ClientProvider,
    useClient,
    useConnectionState,
    useChannel,
    useMembers,
    useRequest,
    useRequests,
  });
});

describe("typed hooks", () => {
  it("return the output of the schema, as JSON", () =>
    compiled(() => {
      const { messages } = hooks.useChannel("room:lobby", { recent: 50 });
      expectTypeOf(messages[0]!.data).toEqualTypeOf<{ text: string; to: string }>();
      expectTypeOf(hooks.useChannel("flash:a").messages[0]!.data).toEqualTypeOf<"on" | "off">();
      expectTypeOf(hooks.useChannel("user:ada").messages[0]!.data).toEqualTypeOf<Json>();
      expectTypeOf(hooks.useMembers("room:lobby").users[0]!.state).toEqualTypeOf<Mood | undefined>();
    }));

  it("publish what the schema accepts", () =>
    compiled(() => {
      const { publish } = hooks.useChannel("room:lobby");
      void publish({ text: "hi" });
      void publish({ text: "hi", to: "ada" }, { key: "k" });
      // @ts-expect-error the text is missing
      void publish({ to: "ada" });
      // @ts-expect-error no such value
      void hooks.useChannel("flash:a").publish("dim");
    }));

  it("know the namespaces", () =>
    compiled(() => {
      const name: string = "lobby";
      hooks.useChannel(`room:${name}`);
      // @ts-expect-error no such namespace
      hooks.useChannel("rooms:lobby");
      // @ts-expect-error no such namespace
      hooks.useMembers("rooms:lobby");
      // @ts-expect-error it may be of any
      hooks.useChannel(name);
    }));

  it("have the client by its types, and accept no other", () =>
    compiled(() => {
      const client = createClient<typeof streamer>({ url: "ws://127.0.0.1" });
      expectTypeOf(hooks.useClient()).toEqualTypeOf(client);
      hooks.ClientProvider({ client });
      const other = createClient<{ "~channels"?: Record<"rooms", never> }>({ url: "ws://127.0.0.1" });
      // @ts-expect-error another server's
      hooks.ClientProvider({ client: other });
    }));
});

it("know the actions, their input and their result", () =>
  compiled(() => {
    interface Server {
      readonly "~requests"?: {
        readonly report: { input: { year: number }; result: { rows: number }; progress: { step: string } };
      };
    }
    const { useRequest } = createHooks<Server>();
    const { start, result, progress } = useRequest("report");
    expectTypeOf(result).toEqualTypeOf<{ rows: number } | undefined>();
    expectTypeOf(progress!.details).toEqualTypeOf<{ step: string } | undefined>();
    expectTypeOf(start({ year: 2026 })).resolves.toEqualTypeOf<{ rows: number }>();
    // @ts-expect-error the year is a number
    start({ year: "2026" });
    // @ts-expect-error no such action
    useRequest("reports");
  }));

it("use JSON without the server's type", () =>
  compiled(() => {
    expectTypeOf(createHooks()).toEqualTypeOf<Hooks>();
    const { messages, publish } = createHooks().useChannel("room:lobby");
    expectTypeOf(messages[0]!.data).toEqualTypeOf<Json>();
    void publish({ anything: [1] });
    const { useChannel } = untyped;
    expectTypeOf(useChannel("room:lobby")).toEqualTypeOf<untyped.ChannelState>();
    // @ts-expect-error no server
    createHooks<string>();
  }));
