// The client's outbox, kept for as long as the tab is: what was written survives a reload.

import type { OutboxItem, OutboxStorage } from "lift-ws/client";

const KEY = "outbox";

/** What was not answered yet when it was last kept. */
export function kept(): readonly OutboxItem[] {
  return JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
}

/** @param changed told how many lines wait */
export function outboxStorage(changed: (waiting: number) => void): OutboxStorage {
  return {
    load: kept,
    save: (items) => {
      sessionStorage.setItem(KEY, JSON.stringify(items));
      changed(items.filter(({ channel }) => channel.startsWith("room:")).length);
    },
  };
}
