import { createHash } from "node:crypto";
import {
  type AttributeValue,
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";

const DAY_S = 24 * 3_600;

export type State = "PENDING" | "PROCESSING" | "RETRYING" | "COMPLETED" | "FAILED";

export interface Failure {
  readonly code: string;
  readonly message: string;
}

export interface NewRequest {
  readonly userId: string;
  readonly tenantId: string;
  readonly id: string;
  readonly action: string;
  readonly input: unknown;
  readonly connectionId: string;
  readonly endpoint: string;
}

export interface StoredRequest extends NewRequest {
  readonly state: State;
  readonly attempt: number;
  readonly progress?: { readonly percentage: number; readonly message: string };
  readonly result?: unknown;
  readonly error?: Failure;
}

/** A worker's right to a request. It ends when another worker takes the request over. */
export interface Lease {
  readonly request: StoredRequest;
  readonly token: string;
}

type Key = Pick<NewRequest, "userId" | "tenantId" | "id">;

/** The table of long requests. A request belongs to a user of a tenant, so an id of another tenant is another request. */
export class RequestTable {
  readonly #client: DynamoDBClient;
  readonly #tableName: string;

  constructor(client: DynamoDBClient, tableName: string) {
    this.#client = client;
    this.#tableName = tableName;
  }

  /** Stores a request once. The same id with the same input is the same request. */
  async create(request: NewRequest): Promise<"created" | "exists" | "conflict"> {
    const inputHash = createHash("sha256")
      .update(JSON.stringify([request.action, request.input]))
      .digest("hex");
    const put = new PutItemCommand({
      TableName: this.#tableName,
      Item: {
        ...keyOf(request),
        State: { S: "PENDING" },
        Attempt: { N: "0" },
        InputHash: { S: inputHash },
        Request: { S: JSON.stringify(request) },
        CreatedAt: { N: String(Date.now()) },
        TTL: inSeconds(2 * DAY_S),
      },
      ConditionExpression: "attribute_not_exists(RequestID)",
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    });
    try {
      await this.#client.send(put);
      return "created";
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
      return error.Item?.InputHash?.S === inputHash ? "exists" : "conflict";
    }
  }

  async get(key: Key): Promise<StoredRequest | undefined> {
    const { Item } = await this.#client.send(
      new GetItemCommand({ TableName: this.#tableName, Key: keyOf(key), ConsistentRead: true }),
    );
    return Item && parseRequest(Item);
  }

  /** Claims a request that waits, or whose worker has died. @returns `undefined` when another worker has it or had it */
  async claim(request: NewRequest, token: string, leaseMs: number): Promise<Lease | "held" | undefined> {
    const now = Date.now();
    const update = new UpdateItemCommand({
      TableName: this.#tableName,
      Key: keyOf(request),
      UpdateExpression: "SET #State = :processing, #Token = :token, LeaseUntil = :until ADD Attempt :one",
      ConditionExpression: "#State IN (:pending, :retrying) OR (#State = :processing AND LeaseUntil <= :now)",
      ExpressionAttributeNames: { "#State": "State", "#Token": "Token" },
      ExpressionAttributeValues: {
        ":processing": { S: "PROCESSING" },
        ":pending": { S: "PENDING" },
        ":retrying": { S: "RETRYING" },
        ":token": { S: token },
        ":until": { N: String(now + leaseMs) },
        ":now": { N: String(now) },
        ":one": { N: "1" },
      },
      ReturnValues: "ALL_NEW",
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    });
    try {
      const { Attributes } = await this.#client.send(update);
      return { request: parseRequest(Attributes!), token };
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
      return error.Item?.State?.S === "PROCESSING" ? "held" : undefined;
    }
  }

  /** Stores progress and extends the lease. */
  saveProgress(lease: Lease, progress: object, leaseMs: number): Promise<boolean> {
    return this.#update(lease, "SET Progress = :progress, LeaseUntil = :until", {
      ":progress": { S: JSON.stringify(progress) },
      ":until": { N: String(Date.now() + leaseMs) },
    });
  }

  complete(lease: Lease, result: unknown): Promise<boolean> {
    return this.#update(lease, "SET #State = :state, #Result = :result, #TTL = :ttl", {
      ":state": { S: "COMPLETED" },
      ":result": { S: JSON.stringify(result) },
      ":ttl": inSeconds(DAY_S),
    });
  }

  fail(lease: Lease, error: Failure): Promise<boolean> {
    return this.#update(lease, "SET #State = :state, #Error = :error, #TTL = :ttl", {
      ":state": { S: "FAILED" },
      ":error": { S: JSON.stringify(error) },
      ":ttl": inSeconds(DAY_S),
    });
  }

  release(lease: Lease): Promise<boolean> {
    return this.#update(lease, "SET #State = :state", { ":state": { S: "RETRYING" } });
  }

  /** @returns false when another worker has the request */
  async #update(
    { request, token }: Lease,
    expression: string,
    values: { readonly [name: string]: AttributeValue },
  ): Promise<boolean> {
    const names = ["#State", "#Result", "#Error", "#TTL"].filter((name) => expression.includes(name));
    const update = new UpdateItemCommand({
      TableName: this.#tableName,
      Key: keyOf(request),
      UpdateExpression: expression,
      ConditionExpression: "#Token = :token AND #State = :processing",
      ExpressionAttributeNames: Object.fromEntries(
        [...names, "#Token", "#State"].map((name) => [name, name.slice(1)]),
      ),
      ExpressionAttributeValues: { ...values, ":token": { S: token }, ":processing": { S: "PROCESSING" } },
    });
    try {
      await this.#client.send(update);
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }
}

/** Reads an item of the table, or the image of its stream. */
export function parseRequest(item: { readonly [name: string]: AttributeValue }): StoredRequest {
  const json = (name: string) => (item[name]?.S === undefined ? undefined : JSON.parse(item[name].S));
  return {
    ...(json("Request") as NewRequest),
    state: item.State?.S as State,
    attempt: Number(item.Attempt?.N),
    progress: json("Progress"),
    result: json("Result"),
    error: json("Error"),
  };
}

function keyOf({ tenantId, userId, id }: Key): { [name: string]: AttributeValue } {
  // JSON, because a tenant or a user may contain any separator.
  return { Owner: { S: JSON.stringify([tenantId, userId]) }, RequestID: { S: id } };
}

function inSeconds(seconds: number): AttributeValue {
  return { N: String(Math.ceil(Date.now() / 1_000) + seconds) };
}
