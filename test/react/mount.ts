import type { Window } from "happy-dom";
import { Activity, type ActivityProps, act, createElement, type ReactNode, StrictMode } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import type { Client } from "../../src/client/index.ts";
import { ClientProvider } from "../../src/react/index.ts";
import { connected, type Setup } from "../client/setup.ts";

export interface Mounted<Props, Result> extends Setup {
  /** The hook's results, one per render. */
  readonly renders: readonly Result[];
  /** The last result. */
  readonly now: Result;
  /** @param other another client than the first one */
  render(props: Props, other?: Setup): Promise<void>;
  /** Hides the component and keeps its state, or shows it again. */
  hide(hidden: boolean): Promise<void>;
  unmount(): Promise<void>;
  /** Passes time, inside `act`. */
  pass(ms: number): Promise<void>;
  /** Runs an action, inside `act`. */
  does(something: () => unknown): Promise<void>;
}

export interface MountOptions {
  /** Default: connected. */
  readonly setup?: Setup;
  /** Whether to use StrictMode, which renders twice and repeats effects. Default: true. */
  readonly strict?: boolean;
  /** HTML from the server. */
  readonly html?: string;
}

/** Mounts a component that shows a hook's result as JSON. Needs the environment happy-dom. */
export async function mount<Props, Result>(
  hook: (props: Props) => Result,
  first: Props,
  { setup, strict = true, html }: MountOptions = {},
): Promise<Mounted<Props, Result>> {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
  const all = setup ?? (await connected());
  const renders: Result[] = [];
  let given: [Props, Setup] = [first, all];
  let mode: "visible" | "hidden" = "visible";
  const rendered = () => {
    const [props, { client }] = given;
    const shown = providing(client, hook, props, (result) => renders.push(result));
    // Hydration would need the same wrapper in the server's HTML.
    const element = html === undefined ? createElement(Activity, { mode } as ActivityProps, shown) : shown;
    return strict ? createElement(StrictMode, undefined, element) : element;
  };
  const { document } = globalThis as unknown as Window;
  const container = document.createElement("div");
  container.innerHTML = html ?? "";
  const root = await act(async () => {
    if (html !== undefined) return hydrateRoot(container, rendered());
    const created = createRoot(container);
    created.render(rendered());
    return created;
  });
  return {
    ...all,
    renders,
    get now() {
      return renders.at(-1)!;
    },
    render: (props, other = all) => {
      given = [props, other];
      return act(async () => root.render(rendered()));
    },
    hide: (hidden) => {
      mode = hidden ? "hidden" : "visible";
      return act(async () => root.render(rendered()));
    },
    unmount: () => act(async () => root.unmount()),
    pass: (ms) => act(() => all.clock.pass(ms)),
    does: (something) =>
      act(async () => {
        await something();
      }),
  };
}

/** The component inside its provider. */
export function providing<Props, Result>(
  client: Client,
  hook: (props: Props) => Result,
  props: Props,
  onResult: (result: Result) => void,
): ReactNode {
  const show = () => {
    const result = hook(props);
    onResult(result);
    return JSON.stringify(result);
  };
  return createElement(ClientProvider, { client }, createElement(Show, { show }));
}

function Show({ show }: { readonly show: () => string }): string {
  return show();
}
