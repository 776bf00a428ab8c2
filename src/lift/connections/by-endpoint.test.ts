import { expect, it } from "vitest";
import { recordingConnections } from "../testing/index.ts";
import { memoizeByEndpoint } from "./by-endpoint.ts";

it("creates one API per endpoint and evicts the least recently used", () => {
  const asked: string[] = [];
  const at = memoizeByEndpoint((endpoint) => {
    asked.push(endpoint);
    return recordingConnections();
  });
  const first = at("https://0/dev");
  expect(at("https://0/dev")).toBe(first);
  for (let n = 1; n < 1_000; n++) {
    at(`https://${n}/dev`);
    expect(at("https://0/dev")).toBe(first);
  }
  expect(asked).toHaveLength(1_000);
  at("https://999/dev");
  expect(asked).toHaveLength(1_000);
  at("https://1/dev");
  expect(asked).toHaveLength(1_001);
});
