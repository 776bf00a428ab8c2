/** Names under which nothing is logged, whatever it is. */
const SECRET_NAME =
  /^(?:authorization|proxy-authorization|(?:set-)?cookie|sec-websocket-protocol|(?:multivalue)?querystringparameters|rawheaders|(?:x-)?api[-_]?key|private[-_]?key|pass(?:word|phrase)|ticket|jwt|.*secret|.*token)$/i;

/** A signed or encrypted JWT, wherever it stands in a text. */
const JWT = /\beyJ[\w-]+\.[\w-]*(?:\.[\w-]*){1,3}/g;

const BEARER = /\b(bearer\s+)[\w.~+/=-]{8,}/gi;

/** A secret in a URL's query or fragment, in a path or alone. */
const IN_QUERY =
  /([?&#](?:authorization|ticket|api_?key|password|secret|(?:\w+_)?token|x-amz-[\w-]+)=)[^&#\s"'<>]+/gi;

/** The password in a URL. */
const IN_AUTHORITY = /(:\/\/[^\s:/?#@]*:)[^\s/?#@]+(?=@)/g;

/** A secret in a JSON text, such as a client's message, or one within another text. */
const IN_JSON =
  /(\\?"(?:authorization|ticket|api_?key|password|jwt|\w*secret|\w*token)\\?"\s*:\s*\\?")[^"\\]+/gi;

/** In what a service of AWS says of a signature that does not match: all that was signed, and with what. */
const SIGNED = /(\b(?:x-amz-security-token\\?["']?\s*[:=]|signature=)\s*\\?["']?)[^\s"'\\&,<>]+/gi;

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

/** A text without JWTs, bearer tokens, secrets in queries, URLs and JSON, and what AWS was signed with. */
export function redactedText(text: string): string {
  const withoutTokens = text.replace(JWT, REDACTED).replace(BEARER, `$1${REDACTED}`);
  const rest = [IN_QUERY, IN_AUTHORITY, IN_JSON, SIGNED];
  return rest.reduce((shown, secret) => shown.replace(secret, `$1${REDACTED}`), withoutTokens);
}
