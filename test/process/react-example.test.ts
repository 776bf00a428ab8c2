// @vitest-environment happy-dom
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HTMLButtonElement, HTMLInputElement, Window } from "happy-dom";
import { createElement } from "react";
import { type Container, createRoot } from "react-dom/client";
import { expect, it, onTestFinished, vi } from "vitest";
import { codeBlocks } from "../support/markdown.ts";
import { Example } from "./example.ts";

const ROOT = join(import.meta.dirname, "../..");

it("docs/guide/react.md has an application that shows a room and writes in it", async () => {
  const server = await Example.start("docs/guide/channels.md");
  onTestFinished(() => server.end());
  const shown = codeBlocks(readFileSync(join(ROOT, "docs/guide/react.md"), "utf8"));
  const { code } = shown.find(({ info }) => info === "tsx")!;
  mkdirSync(join(ROOT, ".lift-ws"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".lift-ws/example-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "app.tsx");
  writeFileSync(file, code.replace("wss://chat.example.com/prod", server.address));
  vi.stubGlobal("fetch", async () => new Response("ann"));
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", false);
  onTestFinished(() => void vi.unstubAllGlobals());

  const { App } = await import(file);
  const { document } = globalThis as unknown as Window;
  const container = document.createElement("div");
  document.body.append(container);
  const root = createRoot(container as unknown as Container);
  root.render(createElement(App));
  await vi.waitFor(() => expect(container.textContent).toContain("connected, here: ann"));
  (container.querySelector("input") as HTMLInputElement).value = "hello";
  ([...container.querySelectorAll("button")].at(-1) as HTMLButtonElement).click();
  await vi.waitFor(() => expect(container.textContent).toContain("ann: hello"));
  root.unmount();
});
