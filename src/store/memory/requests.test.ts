import { describe, it } from "vitest";
import { requestStoreCases } from "../contracts/cases.ts";
import { MemoryRequests } from "./requests.ts";

function createStoreUnderTest() {
  let time = Date.UTC(2026, 0, 1);
  const now = () => time;
  const advance = (ms: number) => {
    time += ms;
  };
  return { store: new MemoryRequests(now), now, advance };
}

requestStoreCases({ describe, it }, "memory requests", createStoreUnderTest);
