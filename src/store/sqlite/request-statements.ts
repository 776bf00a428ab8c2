import type { DatabaseSync, StatementSync } from "node:sqlite";
import { prepareAll } from "./statements.ts";

const REQUEST = `key, owner, id, tenant, priority, created_at AS createdAt, details, fingerprint, state, attempt,
  updated_at AS updatedAt, due_at AS dueAt, lease_until AS leaseUntil, token, progress, failure, expires_at AS expiresAt`;

/** SQL of the requests' prepared statements. Numbered parameters follow the order of the callers' arguments. */
export const REQUEST_SQL = {
  request: `SELECT ${REQUEST} FROM requests WHERE owner = ? AND id = ?`,
  addRequest: `INSERT INTO requests (owner, id, tenant, priority, created_at, details, fingerprint, state, attempt,
    updated_at, due_at, lease_until, token) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  setRequest: `UPDATE requests SET state = ?2, attempt = ?3, updated_at = ?4, due_at = ?5, lease_until = ?6, token = ?7,
    progress = ?8, failure = ?9, expires_at = ?10 WHERE key = ?1`,
  expireLeases: "UPDATE requests SET lease_until = 0 WHERE expires_at IS NULL AND lease_until > 0",
  removeRequest: "DELETE FROM requests WHERE key = ?",
  removeExpired: `DELETE FROM requests WHERE key IN
    (SELECT key FROM requests WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
  openRequests: `SELECT owner, id, tenant, priority, created_at AS createdAt, state, due_at AS dueAt,
    lease_until AS leaseUntil FROM requests WHERE expires_at IS NULL ORDER BY key`,
  requestsOf: `SELECT ${REQUEST} FROM requests WHERE owner = ? AND (created_at, id) < (?, ?)
    AND (expires_at IS NULL OR expires_at > ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
  failedRequests: `SELECT ${REQUEST} FROM requests WHERE state = 'FAILED' AND key > ? AND expires_at > ?
    ORDER BY key LIMIT ?`,
  addInput: "INSERT INTO request_inputs (request, json) VALUES (?, ?)",
  removeInput: "DELETE FROM request_inputs WHERE request = ?",
  setCheckpoint: "INSERT OR REPLACE INTO request_checkpoints (request, json) VALUES (?, ?)",
  removeCheckpoint: "DELETE FROM request_checkpoints WHERE request = ?",
  input: `SELECT request_inputs.json AS input, request_checkpoints.json AS checkpoint FROM request_inputs
    LEFT JOIN request_checkpoints USING (request) WHERE request_inputs.request = ?`,
  addResult: "INSERT INTO request_results (request, json) VALUES (?, ?)",
  result: "SELECT json FROM request_results WHERE request = ?",
  addItem: "INSERT INTO request_output (request, offset, chunks, bytes, at, data) VALUES (?, ?, ?, ?, ?, ?)",
  lastItem:
    "SELECT offset, chunks, bytes, at, data FROM request_output WHERE request = ? ORDER BY offset DESC LIMIT 1",
  items: `SELECT offset, chunks, bytes, at, data FROM request_output WHERE request = ? AND offset > ? ORDER BY offset LIMIT ?`,
} as const;

export type RequestStatements = { readonly [name in keyof typeof REQUEST_SQL]: StatementSync };

export function prepareRequestStatements(database: DatabaseSync): RequestStatements {
  return prepareAll(database, REQUEST_SQL);
}
