/** Names under which nothing is logged, whatever it is. */
const SECRET_NAME =
  /^(?:authorization|proxy-authorization|(?:set-)?cookie|sec-websocket-protocol|(?:multivalue)?querystringparameters|(?:x-)?api[-_]?key|private[-_]?key|pass(?:word|phrase)|ticket|jwt|.*secret|.*token)$/i;

/** A signed or encrypted JWT, wherever it stands in a text. */
const JWT = /\beyJ[\w-]+\.[\w-]*(?:\.[\w-]*){1,3}/g;

const BEARER = /\b(bearer\s+)[\w.~+/=-]{8,}/gi;

/** A secret in a URL's query, in a path or alone. */
const IN_QUERY =
  /([?&](?:authorization|ticket|api_?key|password|secret|(?:\w+_)?token|x-amz-[\w-]+)=)[^&#\s"'<>]+/gi;

const REDACTED = "[redacted]";

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** A value to log under a name: hidden by its name, or free of what looks like a secret in it. */
export function redacted(name: string, value: unknown): unknown {
  if (value === undefined || value === null) return value;
  if (isSecretName(name)) return REDACTED;
  return typeof value === "string" ? redactedText(value) : value;
}

/** A text without JWTs, bearer tokens and secrets in queries. */
export function redactedText(text: string): string {
  return text.replace(JWT, REDACTED).replace(BEARER, `$1${REDACTED}`).replace(IN_QUERY, `$1${REDACTED}`);
}
