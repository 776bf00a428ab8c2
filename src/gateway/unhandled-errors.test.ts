import { afterEach, expect, it, vi } from "vitest";
import { guarded, reportBug } from "./unhandled-errors.ts";

afterEach(() => void vi.restoreAllMocks());

it("warns of a bug without the secrets in its text, cut where it is long", () => {
  const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
  reportBug(new Error("GET /?token=opaque-credential failed"));
  reportBug({ authorization: "opaque-credential" });
  reportBug("a".repeat(20_000));
  const texts = warn.mock.calls.map(([text]) => String(text));
  expect(texts[0]).toMatch(/^Error: GET \/\?token=\[redacted\] failed\n {4}at /);
  expect(texts[1]).toBe("{ authorization: '[redacted]' }");
  expect(texts[2]!.length).toBeLessThan(9_000);
});

it("warns of a listener that throws or rejects", async () => {
  const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
  guarded(() => {
    throw new Error("thrown");
  })(1);
  await guarded(async () => {
    throw new Error("rejected");
  })(1);
  await vi.waitFor(() => expect(warn).toHaveBeenCalledTimes(2));
});
