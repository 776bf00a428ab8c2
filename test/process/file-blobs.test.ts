import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

const SCRIPT = `
  import { readdirSync } from "node:fs";
  import { request } from "node:http";
  import { fileBlobStore } from "lift-ws/store/files";

  const [, how, folder] = process.argv;
  const { url } = await fileBlobStore({ folder }).createUpload("a", { bytes: 3, contentType: "image/png" }, 60_000);
  if (how === "exit") {
    const headers = { "content-type": "image/png", "content-length": 3 };
    request(url, { method: "PUT", headers }).on("error", () => {}).write("a");
    while (readdirSync(folder).length === 0) await new Promise(setImmediate);
    process.exit(7);
  }`;

it.each([
  ["lets a process end that has a store of files", "end", 0],
  ["leaves no half blob when a process ends during an upload", "exit", 7],
])("%s", async (_, how, code) => {
  const folder = mkdtempSync(join(tmpdir(), "lift-ws-blobs-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const options = ["--conditions=@lift-ws/source", "--input-type=module", "--eval", SCRIPT];
  const child = spawn(process.execPath, [...options, how, folder], { stdio: "inherit" });
  expect(await once(child, "exit")).toEqual([code, null]);
  expect(readdirSync(folder)).toEqual([]);
});
