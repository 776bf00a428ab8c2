import type { TableDefinition } from "./definition.ts";

/** Attribute names of a ticket. */
export const TICKET_ATTRIBUTES = {
  hash: "TicketHash",
  content: "Content",
  /** ms since the epoch: when the ticket expires. */
  goodUntil: "GoodUntil",
  /** Seconds since the epoch: when DynamoDB may remove the item. */
  expiresAt: "ExpiresAt",
} as const;

/** The table of `dynamoDBTicketStore`. */
export const TICKET_TABLE: TableDefinition = {
  partitionKey: TICKET_ATTRIBUTES.hash,
  indexes: [],
  projection: "KEYS_ONLY",
  timeToLive: TICKET_ATTRIBUTES.expiresAt,
};
