import type { CreateTableCommandInput } from "@aws-sdk/client-dynamodb";

type Definition = Omit<CreateTableCommandInput, "TableName">;

const index = (IndexName: string, owner: string) => ({
  IndexName,
  KeySchema: [
    { AttributeName: owner, KeyType: "HASH" as const },
    { AttributeName: "ConnectionID", KeyType: "RANGE" as const },
  ],
  Projection: { ProjectionType: "ALL" as const },
});

/** `streamer-connections`, as the migration plan of the original Streamer has it. */
export const CONNECTION_TABLE: Definition = {
  BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: ["ConnectionID", "UserID", "TenantID"].map((AttributeName) => ({
    AttributeName,
    AttributeType: "S",
  })),
  KeySchema: [{ AttributeName: "ConnectionID", KeyType: "HASH" }],
  GlobalSecondaryIndexes: [index("TenantIndex", "TenantID"), index("UserIndex", "UserID")],
};

export const REQUEST_TABLE: Definition = {
  BillingMode: "PAY_PER_REQUEST",
  AttributeDefinitions: ["Owner", "RequestID"].map((AttributeName) => ({
    AttributeName,
    AttributeType: "S",
  })),
  KeySchema: [
    { AttributeName: "Owner", KeyType: "HASH" },
    { AttributeName: "RequestID", KeyType: "RANGE" },
  ],
  StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_IMAGE" },
};
