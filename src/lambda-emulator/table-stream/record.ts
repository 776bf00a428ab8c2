import type { _Record as SdkRecord } from "@aws-sdk/client-dynamodb-streams";

/** An attribute value in an event. Bytes are base64, numbers are strings. */
export type AttributeValue = { readonly [type: string]: unknown };
/** The attributes of an item. */
export type ItemImage = { readonly [attribute: string]: AttributeValue };

/** A change to a table, as Lambda passes it to a function. */
export interface TableStreamRecord {
  readonly eventID: string;
  readonly eventName: "INSERT" | "MODIFY" | "REMOVE";
  readonly eventVersion: string;
  readonly eventSource: "aws:dynamodb";
  readonly awsRegion: string;
  readonly dynamodb: {
    /** Seconds since the epoch. */
    readonly ApproximateCreationDateTime: number;
    readonly Keys: ItemImage;
    readonly NewImage?: ItemImage;
    readonly OldImage?: ItemImage;
    readonly SequenceNumber: string;
    readonly SizeBytes: number;
    readonly StreamViewType: string;
  };
  /** Present when TTL has deleted the item. */
  readonly userIdentity?: { readonly type: "Service"; readonly principalId: "dynamodb.amazonaws.com" };
  readonly eventSourceARN: string;
}

/** The event of a table stream. */
export interface TableStreamEvent {
  readonly Records: readonly TableStreamRecord[];
}

/** The event name of DynamoDB Local for a deletion by TTL. */
const LOCAL_EXPIRY = "UNKNOWN_TO_SDK_VERSION";

const BY_TTL = { type: "Service", principalId: "dynamodb.amazonaws.com" } as const;

/**
 * Converts a record of the SDK to a record of an event.
 * @param region the region in the event, because DynamoDB Local names its own `ddblocal`
 */
export function toTableStreamRecord(read: SdkRecord, streamArn: string, region: string): TableStreamRecord {
  const { dynamodb = {}, userIdentity } = read;
  const expired = (read.eventName as string) === LOCAL_EXPIRY || userIdentity?.Type === BY_TTL.type;
  const { NewImage, OldImage } = dynamodb;
  return {
    eventID: read.eventID ?? "",
    eventName: expired ? "REMOVE" : (read.eventName ?? "MODIFY"),
    eventVersion: read.eventVersion ?? "1.1",
    eventSource: "aws:dynamodb",
    awsRegion: region,
    dynamodb: {
      ApproximateCreationDateTime: Math.floor((dynamodb.ApproximateCreationDateTime?.getTime() ?? 0) / 1_000),
      Keys: toImage(dynamodb.Keys ?? {}),
      ...(NewImage === undefined ? {} : { NewImage: toImage(NewImage) }),
      ...(OldImage === undefined ? {} : { OldImage: toImage(OldImage) }),
      SequenceNumber: dynamodb.SequenceNumber ?? "",
      SizeBytes: dynamodb.SizeBytes ?? 0,
      StreamViewType: dynamodb.StreamViewType ?? "",
    },
    ...(expired ? { userIdentity: BY_TTL } : {}),
    eventSourceARN: streamArn.replace(":ddblocal:", `:${region}:`),
  };
}

function toImage(item: { readonly [attribute: string]: object }): ItemImage {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, toAttributeValue(value)]));
}

function toAttributeValue(value: object): AttributeValue {
  return Object.fromEntries(Object.entries(value).map(([type, content]) => [type, toContent(type, content)]));
}

function toContent(type: string, content: unknown): unknown {
  switch (type) {
    case "B":
      return toBase64(content as Uint8Array);
    case "BS":
      return (content as Uint8Array[]).map(toBase64);
    case "L":
      return (content as object[]).map(toAttributeValue);
    case "M":
      return toImage(content as { readonly [attribute: string]: object });
    default:
      return content;
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
