import { elapsed } from "../internal/elapsed.ts";

/** AWS credentials. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** The provider is called again one minute before this time. Default: never. */
  readonly expiration?: Date;
}

/** Returns credentials. The providers of `@aws-sdk/credential-providers` fit. */
export type AwsCredentialsProvider = () => Promise<AwsCredentials>;

const RENEWAL_MARGIN_MS = 60_000;

/** Credentials or the region are missing. */
export class AwsConfigurationError extends Error {
  override readonly name = "AwsConfigurationError";
}

/** Caches a provider's credentials until they expire. */
export class CredentialsCache {
  readonly #source: AwsCredentials | AwsCredentialsProvider | undefined;
  #pending: Promise<AwsCredentials> | undefined;
  /** When to ask again: in ms since the epoch and in elapsed ms, because a wall clock may be set back. */
  #renewal: { readonly at: number; readonly elapsed: number } | undefined;

  /** @param source default: the credentials that Lambda sets in a function's environment */
  constructor(source: AwsCredentials | AwsCredentialsProvider | undefined) {
    this.#source = source;
  }

  /**
   * Returns the credentials; a promise only where there is something to wait for.
   * @throws {AwsConfigurationError}
   */
  get(): AwsCredentials | Promise<AwsCredentials> {
    if (this.#source === undefined) return readFromEnvironment();
    if (typeof this.#source !== "function") return this.#source;
    if (this.#pending === undefined || this.#isExpired()) {
      const pending = this.#load(this.#source);
      this.#pending = pending;
      // Not within `#load`: a provider may throw before `#pending` is set, and the failure would be cached.
      pending.catch(() => {
        if (this.#pending === pending) this.#pending = undefined;
      });
    }
    return this.#pending;
  }

  async #load(provider: AwsCredentialsProvider): Promise<AwsCredentials> {
    this.#renewal = undefined;
    const credentials = await provider();
    const expires = credentials.expiration?.getTime();
    if (expires !== undefined) {
      const at = expires - RENEWAL_MARGIN_MS;
      this.#renewal = { at, elapsed: elapsed() + at - Date.now() };
    }
    return credentials;
  }

  #isExpired(): boolean {
    const renewal = this.#renewal;
    return renewal !== undefined && (Date.now() > renewal.at || elapsed() > renewal.elapsed);
  }
}

function readFromEnvironment(): AwsCredentials {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) {
    throw new AwsConfigurationError(
      "Missing AWS credentials; set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the option `credentials`",
    );
  }
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
  };
}
