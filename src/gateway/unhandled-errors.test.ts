import { expect, it, vi } from "vitest";
import { guardListener, warnUnhandled } from "./unhandled-errors.ts";

it("warns about an error without its secrets, and truncates it", () => {
  const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
  warnUnhandled(new Error("GET /?token=opaque-credential failed"));
  warnUnhandled({ authorization: "opaque-credential" });
  warnUnhandled("a".repeat(20_000));
  const texts = warn.mock.calls.map(([text]) => String(text));
  expect(texts[0]).toMatch(/^Error: GET \/\?token=\[redacted\] failed\n {4}at /);
  expect(texts[1]).toBe("{ authorization: '[redacted]' }");
  expect(texts[2]!.length).toBeLessThan(9_000);
});

it("warns when a listener throws or rejects", async () => {
  const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
  guardListener(() => {
    throw new Error("thrown");
  })(1);
  await guardListener(async () => {
    throw new Error("rejected");
  })(1);
  await vi.waitFor(() => expect(warn).toHaveBeenCalledTimes(2));
});
