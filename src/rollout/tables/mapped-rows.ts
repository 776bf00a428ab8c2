import type { Retry } from "../../aws/index.ts";
import { type Connection, type ConnectionPage, StoreError } from "../../store/index.ts";
import type { DynamoDB, Item } from "../dynamodb.ts";
import { connectionOf, type MappedIndex, type TableMapping } from "./mapping.ts";

/** Keys per `BatchGetItem`, a limit of DynamoDB. */
const BATCH_SIZE = 100;

/** Reads the rows of a mapped table. */
export class MappedRows {
  readonly #db: DynamoDB;
  readonly #table: { readonly TableName: string };
  readonly #mapping: TableMapping;
  readonly #now: () => number;

  constructor(db: DynamoDB, tableName: string, mapping: TableMapping, now: () => number) {
    this.#db = db;
    this.#table = { TableName: tableName };
    this.#mapping = mapping;
    this.#now = now;
  }

  async listPage({
    after,
    limit,
  }: {
    readonly after?: string;
    readonly limit: number;
  }): Promise<ConnectionPage> {
    const page = await this.#db.read(this.#db.startRetry(), "Scan", {
      ...this.#table,
      Limit: limit,
      ConsistentRead: true,
      ...(after === undefined ? {} : { ExclusiveStartKey: JSON.parse(after) as Item }),
    });
    const connections = (page.Items ?? []).flatMap((item) => this.live(item) ?? []);
    const next = page.LastEvaluatedKey;
    return { connections, ...(next === undefined ? {} : { next: JSON.stringify(next) }) };
  }

  async *scan(): AsyncGenerator<Connection> {
    let after: string | undefined;
    do {
      const page = await this.listPage({ limit: 1_000, ...(after === undefined ? {} : { after }) });
      yield* page.connections;
      after = page.next;
    } while (after !== undefined);
  }

  /** Reads each row as it is now: an index lags, and may not have all attributes. */
  async *listByOwner(
    index: MappedIndex | undefined,
    owner: string,
    ownerOf: (connection: Connection) => string | undefined,
  ): AsyncGenerator<Connection> {
    if (owner === "") return;
    const rows = index === undefined ? this.scan() : this.#queryRows(index, owner);
    for await (const row of rows) if (ownerOf(row) === owner) yield row;
  }

  async *#queryRows(index: MappedIndex, owner: string): AsyncGenerator<Connection> {
    let start: Item | undefined;
    do {
      const page = await this.#db.read(this.#db.startRetry(), "Query", {
        ...this.#table,
        IndexName: index.name,
        KeyConditionExpression: "#owner = :owner",
        ExpressionAttributeNames: { "#owner": index.partitionKey },
        ExpressionAttributeValues: { ":owner": { S: owner } },
        ...(start === undefined ? {} : { ExclusiveStartKey: start }),
      });
      const keyNames = Object.keys(this.#mapping.key(""));
      const keys = (page.Items ?? []).map((item) => pick(item, keyNames));
      for (let from = 0; from < keys.length; from += BATCH_SIZE) {
        yield* await this.#readRows(keys.slice(from, from + BATCH_SIZE));
      }
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }

  async #readRows(batch: readonly Item[]): Promise<Connection[]> {
    const retry = this.#db.startRetry();
    const { TableName } = this.#table;
    const rows: Connection[] = [];
    for (let keys = batch; keys.length > 0; ) {
      const output = await this.#db.read(retry, "BatchGetItem", {
        RequestItems: { [TableName]: { Keys: keys } },
      });
      rows.push(...(output.Responses?.[TableName] ?? []).flatMap((item) => this.live(item) ?? []));
      keys = output.UnprocessedKeys?.[TableName]?.Keys ?? [];
      if (keys.length > 0 && !(await retry.pause())) throw new StoreError("STORE_UNAVAILABLE");
    }
    return rows;
  }

  /** Returns a live connection; `undefined` for an expired one, and for other items. */
  live(item: Item | undefined): Connection | undefined {
    const connection = connectionOf(this.#mapping, item);
    return connection !== undefined && connection.expiresAt > this.#now() ? connection : undefined;
  }

  async read(retry: Retry, key: Item): Promise<Item | undefined> {
    const input = { ...this.#table, Key: key, ConsistentRead: true };
    return (await this.#db.read(retry, "GetItem", input)).Item;
  }
}

function pick(item: Item, names: readonly string[]): Item {
  return Object.fromEntries(names.flatMap((name) => (item[name] === undefined ? [] : [[name, item[name]]])));
}
