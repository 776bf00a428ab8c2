/** A price in us-east-1 without free tiers and discounts. */
export interface Price {
  readonly service: string;
  readonly item: string;
  /** The quantity that a tier's dollars are for. */
  readonly per: number;
  /** Each tier ends at a quantity a month; the last one has no end. */
  readonly tiers: readonly { readonly upTo?: number; readonly dollars: number }[];
  readonly source: string;
  /** When the source had this price. */
  readonly asOf: string;
}

const API_GATEWAY = { service: "API Gateway", source: "https://aws.amazon.com/api-gateway/pricing/" };
const LAMBDA = { service: "Lambda", source: "https://aws.amazon.com/lambda/pricing/" };
const DYNAMODB = { service: "DynamoDB", source: "https://aws.amazon.com/dynamodb/pricing/on-demand/" };
const CLOUDWATCH = { service: "CloudWatch", source: "https://aws.amazon.com/cloudwatch/pricing/" };

const MILLION = 1e6;
const TB = 1_024;

/** Lambda's reads of a table's stream are free, and so are EventBridge's schedules. */
export const PRICES = {
  /** Metered in 32 KB, in both directions. */
  messages: {
    ...API_GATEWAY,
    item: "messages",
    per: MILLION,
    tiers: [{ upTo: 1e9, dollars: 1 }, { dollars: 0.8 }],
    asOf: "2026",
  },
  connectionMinutes: {
    ...API_GATEWAY,
    item: "connection minutes",
    per: MILLION,
    tiers: [{ dollars: 0.25 }],
    asOf: "2026",
  },
  invocations: { ...LAMBDA, item: "requests", per: MILLION, tiers: [{ dollars: 0.2 }], asOf: "2026" },
  /** On arm64. */
  gbSeconds: {
    ...LAMBDA,
    item: "GB-seconds",
    per: 1,
    tiers: [
      { upTo: 7.5e9, dollars: 0.0000133334 },
      { upTo: 18.75e9, dollars: 0.0000120001 },
      { dollars: 0.0000106667 },
    ],
    asOf: "2026",
  },
  reads: { ...DYNAMODB, item: "read units", per: MILLION, tiers: [{ dollars: 0.125 }], asOf: "2026" },
  writes: { ...DYNAMODB, item: "write units", per: MILLION, tiers: [{ dollars: 0.625 }], asOf: "2026" },
  storedGb: { ...DYNAMODB, item: "GB stored", per: 1, tiers: [{ dollars: 0.25 }], asOf: "2026" },
  /** Point-in-time recovery, by the size of the tables. */
  backupGb: { ...DYNAMODB, item: "GB of backups", per: 1, tiers: [{ dollars: 0.2 }], asOf: "2026" },
  /** A Lambda function's log. */
  logGb: {
    ...CLOUDWATCH,
    item: "GB of logs",
    per: 1,
    tiers: [
      { upTo: 10 * TB, dollars: 0.5 },
      { upTo: 30 * TB, dollars: 0.25 },
      { upTo: 50 * TB, dollars: 0.1 },
      { dollars: 0.05 },
    ],
    asOf: "2026-02",
  },
  metricCalls: {
    ...CLOUDWATCH,
    item: "PutMetricData calls",
    per: 1_000,
    tiers: [{ dollars: 0.01 }],
    asOf: "2026-02",
  },
  sentGb: {
    service: "Data transfer",
    item: "GB to the internet",
    per: 1,
    tiers: [
      { upTo: 10 * TB, dollars: 0.09 },
      { upTo: 50 * TB, dollars: 0.085 },
      { upTo: 150 * TB, dollars: 0.07 },
      { dollars: 0.05 },
    ],
    source: "https://aws.amazon.com/ec2/pricing/on-demand/",
    asOf: "2026-06",
  },
} as const satisfies { readonly [name: string]: Price };

export type Priced = keyof typeof PRICES;

/** Quantities of a month. */
export type Usage = { readonly [Name in Priced]: number };

export interface Bill {
  /** Dollars of each item. */
  readonly dollars: Usage;
  readonly total: number;
}

export function toBill(usage: Usage): Bill {
  const entries = Object.entries(PRICES).map(([name, price]) => [name, cost(price, usage[name as Priced])]);
  const dollars = Object.fromEntries(entries) as Usage;
  return { dollars, total: Object.values(dollars).reduce((sum, each) => sum + each, 0) };
}

function cost({ per, tiers }: Price, quantity: number): number {
  let [dollars, from] = [0, 0];
  for (const { upTo = Number.POSITIVE_INFINITY, dollars: each } of tiers) {
    dollars += (Math.max(0, Math.min(quantity, upTo) - from) / per) * each;
    from = upTo;
  }
  return dollars;
}
