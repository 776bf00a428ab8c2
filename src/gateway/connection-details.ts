import type { AuthorizerContext } from "../apigw/index.ts";

/** Details of a connection that all its events contain. */
export interface ConnectionDetails {
  readonly connectionId: string;
  /** ms since the epoch. */
  readonly connectedAt: number;
  /** Start of the connection in elapsed ms. Its age is measured from here. */
  readonly startedAt: number;
  readonly sourceIp: string;
  readonly userAgent: string | undefined;
  readonly domainName: string;
  readonly authorizer: AuthorizerContext | undefined;
}
