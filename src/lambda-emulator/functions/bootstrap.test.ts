import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

it("ends when the emulator has been killed while it starts, in place of reporting a broken pipe for ever", async () => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "bootstrap.js"), "{}"], {
    env: {
      // Its code is gone, so it has an error to report. No Runtime API listens on port 1.
      ...{ LAMBDA_TASK_ROOT: join(import.meta.dirname, "gone"), _HANDLER: "index.handler" },
      AWS_LAMBDA_RUNTIME_API: "127.0.0.1:1",
    },
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  child.stdout.destroy();
  expect(await once(child, "exit")).toEqual([0, null]);
});
