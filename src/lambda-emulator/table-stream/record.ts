import type { _Record as SdkRecord } from "@aws-sdk/client-dynamodb-streams";

/** A value of an item in an event: bytes as base64, numbers as text. */
export type StreamValue = { readonly [type: string]: unknown };
export type StreamImage = { readonly [attribute: string]: StreamValue };

/** A change to a table, as Lambda hands it to a function. */
export interface StreamRecord {
  readonly eventID: string;
  readonly eventName: "INSERT" | "MODIFY" | "REMOVE";
  readonly eventVersion: string;
  readonly eventSource: "aws:dynamodb";
  readonly awsRegion: string;
  readonly dynamodb: {
    /** Seconds since the epoch. */
    readonly ApproximateCreationDateTime: number;
    readonly Keys: StreamImage;
    readonly NewImage?: StreamImage;
    readonly OldImage?: StreamImage;
    readonly SequenceNumber: string;
    readonly SizeBytes: number;
    readonly StreamViewType: string;
  };
  /** Of an item that TTL has removed. */
  readonly userIdentity?: { readonly type: "Service"; readonly principalId: "dynamodb.amazonaws.com" };
  readonly eventSourceARN: string;
}

export interface StreamEvent {
  readonly Records: readonly StreamRecord[];
}

/** What DynamoDB Local calls a removal by TTL. */
const LOCAL_EXPIRY = "UNKNOWN_TO_SDK_VERSION";

const BY_TTL = { type: "Service", principalId: "dynamodb.amazonaws.com" } as const;

/**
 * A record that was read, as an event has it.
 * @param region of the service that DynamoDB Local stands for: it calls its own `ddblocal`
 */
export function streamRecord(read: SdkRecord, streamArn: string, region: string): StreamRecord {
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
      Keys: imageOf(dynamodb.Keys ?? {}),
      ...(NewImage === undefined ? {} : { NewImage: imageOf(NewImage) }),
      ...(OldImage === undefined ? {} : { OldImage: imageOf(OldImage) }),
      SequenceNumber: dynamodb.SequenceNumber ?? "",
      SizeBytes: dynamodb.SizeBytes ?? 0,
      StreamViewType: dynamodb.StreamViewType ?? "",
    },
    ...(expired ? { userIdentity: BY_TTL } : {}),
    eventSourceARN: streamArn.replace(":ddblocal:", `:${region}:`),
  };
}

function imageOf(item: { readonly [attribute: string]: object }): StreamImage {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, typed(value)]));
}

function typed(value: object): StreamValue {
  return Object.fromEntries(Object.entries(value).map(([type, content]) => [type, contentOf(type, content)]));
}

function contentOf(type: string, content: unknown): unknown {
  switch (type) {
    case "B":
      return base64(content as Uint8Array);
    case "BS":
      return (content as Uint8Array[]).map(base64);
    case "L":
      return (content as object[]).map(typed);
    case "M":
      return imageOf(content as { readonly [attribute: string]: object });
    default:
      return content;
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
