// Keeps the client's outbox in the tab's session storage, so that unsent lines survive a reload.

import type { OutboxItem, OutboxStorage } from "lift-ws/client";

let key = "outbox";

/** Separates the lines of users who sign in in the same tab. */
export function ownOutbox(person: readonly (string | null)[]): void {
  key = `outbox ${JSON.stringify(person)}`;
}

/** The publications without an answer at the last save. */
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
