// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { connected } from "../../test/client/setup.ts";
import { type Mounted, type MountOptions, mount } from "../../test/react/mount.ts";
import { type RequestState, type UseRequestOptions, useRequest, useRequests } from "./index.ts";

const ID = "r-0123456789abcdef";

type Shown = Mounted<UseRequestOptions, RequestState>;

const mounted = (first: UseRequestOptions = {}, options?: MountOptions): Promise<Shown> =>
  mount((given: UseRequestOptions) => useRequest("report", given), first, options);

const seen = ({ status, progress, text, values, result, error }: RequestState) => [
  status,
  progress?.percentage,
  text,
  values,
  result,
  error?.code,
];

async function started(shown: Shown, options = {}): Promise<void> {
  await shown.does(() => void shown.now.start({ year: 2026 }, { id: ID, ...options }));
  await shown.pass(10);
}

it("is idle, then shows the progress, the output and the result of what it started", async () => {
  const shown = await mounted();
  const { jobs } = shown.server;
  expect(seen(shown.now)).toEqual(["idle", undefined, "", [], undefined, undefined]);
  await started(shown);
  expect([shown.now.status, shown.now.id]).toEqual(["running", ID]);
  expect(jobs.calls).toMatchObject([{ action: "report", payload: { year: 2026 } }]);
  jobs.progress(ID, 40);
  jobs.write(ID, { text: "Hello " });
  jobs.write(ID, { values: [1] });
  jobs.write(ID, { text: "world" });
  await shown.pass(10);
  expect(seen(shown.now)).toEqual(["running", 40, "Hello world", [1], undefined, undefined]);
  jobs.complete(ID, { rows: 3 });
  await shown.pass(10);
  expect(seen(shown.now)).toEqual(["completed", 40, "Hello world", [1], { rows: 3 }, undefined]);
});

it("passes the application's own listeners on, and reads no output when told so", async () => {
  const shown = await mounted({ output: false });
  const progress: number[] = [];
  await started(shown, { onProgress: ({ percentage }: { percentage: number }) => progress.push(percentage) });
  shown.server.jobs.progress(ID, 40);
  shown.server.jobs.write(ID, { text: "Hello" });
  await shown.pass(10);
  expect([shown.now.text, shown.now.progress?.percentage, progress]).toEqual(["", 40, [40]]);
  expect(shown.server.actions).toEqual([]);
});

it("shows why a request failed, and cancels one", async () => {
  const shown = await mounted();
  await started(shown);
  await shown.does(() => void shown.now.cancel());
  await shown.pass(20);
  expect([shown.now.status, shown.now.error?.code]).toEqual(["failed", "CANCELLED"]);
  shown.server.jobs.answer = () => ({ code: "FORBIDDEN" });
  await started(shown, { id: "other" });
  expect([shown.now.status, shown.now.error?.code]).toEqual(["failed", "FORBIDDEN"]);
});

it("shows nothing of an earlier request, which continues", async () => {
  const shown = await mounted();
  await started(shown);
  shown.server.jobs.write(ID, { text: "old" });
  await shown.pass(10);
  await started(shown, { id: "second" });
  shown.server.jobs.progress(ID, 70);
  shown.server.jobs.complete(ID, "old");
  await shown.pass(10);
  expect(seen(shown.now)).toEqual(["running", undefined, "", [], undefined, undefined]);
  expect(shown.now.id).toBe("second");
  expect(shown.server.jobs.stored.get(ID)!.state).toBe("COMPLETED");
});

it("attaches to a request by its id, once in StrictMode, and watches no longer than it is mounted", async () => {
  const setup = await connected();
  setup.server.jobs.store(ID);
  setup.server.jobs.write(ID, { text: "Hello" });
  const shown = await mounted({ id: ID }, { setup });
  await shown.pass(10);
  expect(seen(shown.now)).toEqual(["running", undefined, "Hello", [], undefined, undefined]);
  expect(setup.server.actions).toEqual(["subscribe", "request"]);
  await shown.unmount();
  await shown.pass(10);
  const [socket] = setup.server.sockets;
  expect([...socket!.channels]).toEqual([]);
  expect(setup.server.jobs.stored.get(ID)!.state).toBe("PENDING");
});

it("attaches later, and shows an unknown request as failed", async () => {
  const shown = await mounted();
  await shown.does(() => shown.now.attach("unknown"));
  await shown.pass(10);
  expect([shown.now.status, shown.now.error?.code]).toEqual(["failed", "NOT_FOUND"]);
});

it("watches its request again when it is shown again, and forgets one that was answered in place", async () => {
  const shown = await mounted();
  await started(shown);
  await shown.hide(true);
  shown.server.jobs.complete(ID, "done");
  await shown.pass(10);
  await shown.hide(false);
  await shown.pass(10);
  expect([shown.now.status, shown.now.result]).toEqual(["completed", "done"]);
  shown.server.jobs.answer = () => ({ data: 1 });
  await started(shown, { id: "in-place" });
  expect([shown.now.status, shown.now.result]).toEqual(["completed", 1]);
  await shown.hide(true);
  await shown.pass(10);
  await shown.hide(false);
  await shown.pass(10);
  expect(seen(shown.now)).toEqual(["idle", undefined, "", [], undefined, undefined]);
});

it("says which feature the client needs", async () => {
  const shown = await mounted({ id: ID }, { setup: await connected({ use: [] }) });
  expect([shown.now.status, shown.now.error?.code]).toEqual(["failed", "FEATURE_MISSING"]);
});

it("lists the user's requests, page by page, and again", async () => {
  const setup = await connected();
  const { jobs } = setup.server;
  for (const id of ["a", "b", "c"]) jobs.store(id);
  setup.server.intercept = ({ action, payload }) => {
    if (action !== "requests") return undefined;
    const all = [...jobs.stored.values()].reverse();
    const { after = "0", limit = 20 } = payload;
    const end = Number(after) + limit;
    return { requests: all.slice(Number(after), end), ...(end < all.length && { next: `${end}` }) };
  };
  const shown = await mount(useRequests, 2, { setup });
  expect([shown.now.status, shown.now.requests]).toEqual(["loading", []]);
  await shown.pass(10);
  expect([shown.now.status, shown.now.hasMore]).toEqual(["loaded", true]);
  await shown.does(() => void shown.now.loadMore());
  await shown.pass(10);
  expect(shown.now.requests.map(({ id }) => id)).toEqual(["c", "b", "a"]);
  expect(shown.now.hasMore).toBe(false);
  jobs.store("d");
  await shown.does(() => shown.now.reload());
  await shown.pass(10);
  expect(shown.now.requests.map(({ id }) => id)).toEqual(["d", "c"]);
});

it("says why the list is refused", async () => {
  const setup = await connected();
  setup.server.intercept = ({ action }) => (action === "requests" ? "FORBIDDEN" : undefined);
  const shown = await mount(useRequests, undefined, { setup });
  await shown.pass(10);
  expect([shown.now.status, shown.now.error?.code]).toEqual(["refused", "FORBIDDEN"]);
});
