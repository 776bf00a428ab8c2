import type { DatabaseSync, StatementSync } from "node:sqlite";

/** What each call runs, prepared once. Numbered parameters are in the order in which callers have them. */
const SQL = {
  life: "SELECT token FROM life",
  channel: "SELECT id, head, first, size, age_ms AS ageMs FROM channels WHERE name = ?",
  nextChannels:
    "SELECT id, head, first, size, age_ms AS ageMs FROM channels WHERE id > ? ORDER BY id LIMIT ?",
  addChannel: "INSERT INTO channels (name, head, first, size, age_ms) VALUES (?, 0, 1, ?, ?)",
  setHead: "UPDATE channels SET head = ?2, size = ?3, age_ms = ?4 WHERE id = ?1",
  setFirst: "UPDATE channels SET first = ?2 WHERE id = ?1",
  addMessage: "INSERT INTO messages (channel, offset, at, body) VALUES (?, ?, ?, ?)",
  message: "SELECT offset, at, body FROM messages WHERE channel = ? AND offset = ?",
  messages:
    "SELECT offset, at, body FROM messages WHERE channel = ? AND offset >= ? AND offset < ? ORDER BY offset",
  firstWithin:
    "SELECT offset FROM messages WHERE channel = ? AND offset >= ? AND at > ? AND at < ? ORDER BY offset LIMIT 1",
  removeMessage: "DELETE FROM messages WHERE channel = ? AND offset = ?",
  removeMessages: `DELETE FROM messages WHERE channel = ?1 AND offset >= ?2 AND offset < ?3
    AND NOT EXISTS (SELECT 1 FROM unfinished WHERE channel = ?1 AND offset = messages.offset)`,
  addUnfinished: "INSERT INTO unfinished (channel, offset) VALUES (?, ?)",
  setCursor: "UPDATE unfinished SET cursor = ?3 WHERE channel = ?1 AND offset = ?2",
  removeUnfinished: "DELETE FROM unfinished WHERE channel = ? AND offset = ?",
  unfinished: `SELECT unfinished.channel AS id, unfinished.offset AS offset, name, cursor, at, body FROM unfinished
    LEFT JOIN channels ON channels.id = unfinished.channel
    LEFT JOIN messages ON messages.channel = unfinished.channel AND messages.offset = unfinished.offset
    WHERE (unfinished.channel, unfinished.offset) > (?, ?) AND (at IS NULL OR at < ?)
    ORDER BY unfinished.channel, unfinished.offset LIMIT ?`,
  key: "SELECT at, offset, id FROM keys WHERE channel = ? AND key = ?",
  setKey: "INSERT OR REPLACE INTO keys (channel, key, at, offset, id) VALUES (?, ?, ?, ?, ?)",
  removeKeys: `DELETE FROM keys WHERE (channel, key) IN
    (SELECT channel, key FROM keys WHERE at <= ? ORDER BY at LIMIT ?)`,
} as const;

export type Statements = { readonly [name in keyof typeof SQL]: StatementSync };

export function prepareAll(database: DatabaseSync): Statements {
  const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)]);
  return Object.fromEntries(prepared) as Statements;
}
