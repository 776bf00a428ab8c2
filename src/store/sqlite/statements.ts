import type { DatabaseSync, StatementSync } from "node:sqlite";

const CHANNEL = "id, head, first, size, age_ms AS ageMs, used_at AS usedAt, generation";

/** SQL of the history's prepared statements. Numbered parameters follow the order of the callers' arguments. */
const SQL = {
  storeId: "SELECT token FROM life",
  channel: `SELECT ${CHANNEL} FROM channels WHERE name = ?`,
  nextChannels: `SELECT ${CHANNEL}, name FROM channels WHERE id > ? ORDER BY id LIMIT ?`,
  addChannel: "INSERT INTO channels (name, head, first, size, age_ms, generation) VALUES (?, 0, 1, ?, ?, ?)",
  setHead: "UPDATE channels SET head = ?2, size = ?3, age_ms = ?4, used_at = ?5 WHERE id = ?1",
  setUsed: "UPDATE channels SET used_at = ?2 WHERE name = ?1",
  removeChannel: "DELETE FROM channels WHERE id = ?",
  generation: "SELECT generation FROM generations WHERE bucket = ?",
  addGeneration: `INSERT INTO generations (bucket, generation) VALUES (?, 1)
    ON CONFLICT (bucket) DO UPDATE SET generation = generation + 1`,
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
  addPendingFanOut: "INSERT INTO unfinished (channel, offset) VALUES (?, ?)",
  setCursor: "UPDATE unfinished SET cursor = ?3 WHERE channel = ?1 AND offset = ?2",
  removePendingFanOut: "DELETE FROM unfinished WHERE channel = ? AND offset = ?",
  hasPendingFanOut: "SELECT 1 FROM unfinished WHERE channel = ? LIMIT 1",
  pendingFanOuts: `SELECT unfinished.channel AS id, unfinished.offset AS offset, name, generation, cursor, at, body
    FROM unfinished
    LEFT JOIN channels ON channels.id = unfinished.channel
    LEFT JOIN messages ON messages.channel = unfinished.channel AND messages.offset = unfinished.offset
    WHERE (unfinished.channel, unfinished.offset) > (?, ?) AND (at IS NULL OR at < ?)
    ORDER BY unfinished.channel, unfinished.offset LIMIT ?`,
  key: "SELECT at, offset, id FROM keys WHERE channel = ? AND key = ?",
  setKey: "INSERT OR REPLACE INTO keys (channel, key, at, offset, id) VALUES (?, ?, ?, ?, ?)",
  removeKeysOf: "DELETE FROM keys WHERE channel = ?",
  removeKeys: `DELETE FROM keys WHERE (channel, key) IN
    (SELECT channel, key FROM keys WHERE at <= ? ORDER BY at LIMIT ?)`,
} as const;

export type Statements = { readonly [name in keyof typeof SQL]: StatementSync };

export function prepareStatements(database: DatabaseSync): Statements {
  return prepareAll(database, SQL);
}

/** @param sql by name */
export function prepareAll<Name extends string>(
  database: DatabaseSync,
  sql: { readonly [name in Name]: string },
): { readonly [name in Name]: StatementSync } {
  const prepared = Object.entries<string>(sql).map(([name, text]) => [name, database.prepare(text)]);
  return Object.fromEntries(prepared) as { readonly [name in Name]: StatementSync };
}
