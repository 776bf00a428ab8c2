// The client's outbox, kept for as long as the tab is: what was written survives a reload.

import type { OutboxItem, OutboxStorage } from "lift-ws/client";

let key = "outbox";

/** Keeps one person's lines apart from another's who came through the same tab. */
export function ownOutbox(person: readonly (string | null)[]): void {
  key = `outbox ${JSON.stringify(person)}`;
}

/** What was not answered yet when it was last kept. */
export function kept(): readonly OutboxItem[] {
  return JSON.parse(sessionStorage.getItem(key) ?? "[]");
}

/** @param changed told how many lines wait */
export function outboxStorage(changed: (waiting: number) => void): OutboxStorage {
  return {
    load: kept,
    save: (items) => {
      sessionStorage.setItem(key, JSON.stringify(items));
      changed(items.filter(({ channel }) => channel.startsWith("room:")).length);
    },
  };
}
