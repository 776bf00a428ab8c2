import { elapsed } from "../internal/elapsed.ts";

/** What a request is signed with. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** From a minute before it on they are asked for anew. */
  readonly expiration?: Date;
}

/** Gives the credentials: one of `@aws-sdk/credential-providers`, or a function like them. */
export type AwsCredentialsProvider = () => Promise<AwsCredentials>;

const RENEWED_BEFORE_MS = 60_000;

/** There is nothing to sign with, or nobody says for which region. */
export class AwsConfigurationError extends Error {
  override readonly name = "AwsConfigurationError";
}

/** Reads credentials when they are needed; what a provider gives is kept until it expires. */
export class CredentialsSource {
  readonly #given: AwsCredentials | AwsCredentialsProvider | undefined;
  #provided: Promise<AwsCredentials> | undefined;
  /** From when on to ask again: ms since the epoch, and elapsed ms, since a wall clock may be set back. */
  #renewal: { readonly at: number; readonly elapsed: number } | undefined;

  /** @param given default: those that Lambda sets in a function's environment */
  constructor(given: AwsCredentials | AwsCredentialsProvider | undefined) {
    this.#given = given;
  }

  /** No promise where there is nothing to wait for. @throws {AwsConfigurationError} */
  get(): AwsCredentials | Promise<AwsCredentials> {
    if (this.#given === undefined) return fromEnvironment();
    if (typeof this.#given !== "function") return this.#given;
    if (this.#provided === undefined || this.#isOld()) {
      const asked = this.#ask(this.#given);
      this.#provided = asked;
      // Not within the asking: a provider may throw before there is a promise to forget.
      asked.catch(() => {
        if (this.#provided === asked) this.#provided = undefined;
      });
    }
    return this.#provided;
  }

  async #ask(provider: AwsCredentialsProvider): Promise<AwsCredentials> {
    this.#renewal = undefined;
    const credentials = await provider();
    const expires = credentials.expiration?.getTime();
    if (expires !== undefined) {
      const at = expires - RENEWED_BEFORE_MS;
      this.#renewal = { at, elapsed: elapsed() + at - Date.now() };
    }
    return credentials;
  }

  #isOld(): boolean {
    const renewal = this.#renewal;
    return renewal !== undefined && (Date.now() > renewal.at || elapsed() > renewal.elapsed);
  }
}

function fromEnvironment(): AwsCredentials {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) {
    throw new AwsConfigurationError(
      "No credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the option credentials",
    );
  }
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
  };
}
