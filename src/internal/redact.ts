// Hides secrets in text on its way into a log, a trace or an error. Clients choose much of that text, so every rule
// takes linear time: a pattern starts only where a match may start, and bounds or consumes what it scans.

const REDACTED = "[redacted]";

/** Characters of one text in a log line. CloudWatch takes 256 KB a line, and a client may send 128 KB. */
export const MAX_LOGGED_TEXT = 8_192;

/** Multiple of `max` that is searched. Secrets in the logged part are recognized within it. */
const LOOKAHEAD = 4;

/**
 * Returns a value for a log: redacted when its name is secret; a text is passed to `logText`.
 * @param max characters of a text, default 8,192
 */
export function redactField(name: string, value: unknown, max?: number): unknown {
  if (value === undefined || value === null) return value;
  if (isSecretName(name) && !(typeof value === "number" && isTokenCount(name))) return REDACTED;
  return typeof value === "string" ? logText(value, max) : value;
}

/** Redacts a text and truncates it to `max` characters, with a note of its length. */
export function logText(text: string, max = MAX_LOGGED_TEXT): string {
  const read = text.slice(0, max * LOOKAHEAD);
  const shown = redactText(read);
  return shown.length <= max && read.length === text.length ? shown : cut(shown, max, text.length);
}

/** Truncates a text to `max` characters, with a note of its length. */
export function truncate(text: string, max: number): string {
  return text.length <= max ? text : cut(text, max, text.length);
}

function cut(text: string, max: number, length: number): string {
  return `${text.slice(0, max)}… (${length} characters)`;
}

/**
 * Returns the text without JWTs, private keys, bearer and basic credentials, user information and fragments of URLs, and the
 * values of secret names: in queries, `name=value`, header lines, JSON (nested too) and `util.inspect`'s output.
 */
export function redactText(text: string): string {
  return hideValues(hideCredentials(hideInUrls(hidePrivateKeys(hideJwts(text)))));
}

/** Private keys in PEM. One that is cut ends with the text. */
function hidePrivateKeys(text: string): string {
  if (!text.includes("PRIVATE KEY-----")) return text;
  return text.replace(/(BEGIN [A-Z ]{0,20}PRIVATE KEY-----).*?(-----END|$)/gs, `$1${REDACTED}$2`);
}

/** JWTs, signed or encrypted, start with the base64url of `{"` and contain a dot. */
function hideJwts(text: string): string {
  if (!text.includes("eyJ")) return text;
  return text.replace(/[\w.+/=-]+/g, (word) => {
    const start = word.indexOf("eyJ");
    return start >= 0 && word.includes(".", start) ? word.slice(0, start) + REDACTED : word;
  });
}

function hideInUrls(text: string): string {
  return text.replace(/:\/\/[^\s"'`<>]*[^\s"'`<>\\]/g, (urls) => {
    const [scheme, ...rest] = urls.split("://");
    return [scheme, ...rest.map(hideInUrl)].join("://");
  });
}

/** User information in URLs, also with an unencoded `/`, `?` or `#`. `host:3001/@connections` has none. */
const USER_INFORMATION = /^(?:[^/?#]*@|[^:/?#[\]]*:(?!\d{1,5}(?:[/?#]|$)).*@)/s;

function hideInUrl(afterScheme: string): string {
  return afterScheme.replace(USER_INFORMATION, `${REDACTED}@`).replace(/#.+/s, `#${REDACTED}`);
}

const CREDENTIALS = /\b(bearer|basic)(\s+|(?:%20)+|\++|["'`]?\s*[,:]\s*["'`]?)([\w.~+/=-]+)/gi;

/** Words that follow `bearer` or `basic` in sentences and in `WWW-Authenticate`. */
const PROSE = /^(?:auth\w*|credentials?|error|header|is|realm|scheme|tokens?)[.=]*$/i;

function hideCredentials(text: string): string {
  return text.replace(CREDENTIALS, (found, scheme: string, gap: string, word: string) => {
    const isProse = PROSE.test(word) || (/^basic$/i.test(scheme) && /^[a-z]+\.?$/.test(word));
    return isProse ? found : scheme + gap + REDACTED;
  });
}

/** A name, once per word, and the separator before its value. */
const ASSIGNMENT = /(?<![\w-])([\w-]+)(\\*["'`]?(?:\]|%5D)?\s*(?:=>?|:|%3[AD])\s*)/gi;

function hideValues(text: string): string {
  const assignment = new RegExp(ASSIGNMENT);
  let shown = "";
  let from = 0;
  for (let match = assignment.exec(text); match !== null; match = assignment.exec(text)) {
    const [start, end] = findSecret(text, match, assignment.lastIndex);
    if (end <= start || text.startsWith(REDACTED, start)) continue;
    shown += text.slice(from, start) + REDACTED;
    from = assignment.lastIndex = end;
  }
  return shown + text.slice(from);
}

const OPENING = /\\*["'`]/y;

type Range = readonly [start: number, end: number];

/** @returns an empty range where the assignment holds no secret */
function findSecret(
  text: string,
  { 1: name = "", 2: separator = "", index }: RegExpExecArray,
  at: number,
): Range {
  const none: Range = [at, at];
  const isParameter = /=(?!>)|%3D/i.test(separator);
  const isSecret = isParameter
    ? isSecretParameter(name, /[?&#]$|%3F$|%26$/i.test(text.slice(Math.max(index - 3, 0), index)))
    : isSecretName(name);
  if (!isSecret || (isTokenCount(name) && matchAt(/["']?\d+(?![\w-])/y, text, at))) return none;
  const opening = matchAt(OPENING, text, at);
  if (opening !== undefined) return [at + opening.length, endOfQuoted(text, at + opening.length, opening)];
  if (text[at] === "[" && !text.startsWith(REDACTED, at)) return [at, endOfBrackets(text, at)];
  if (text[at] === "{") return [at, endOfBrackets(text, at)];
  if (separator.includes("\n")) return none;
  return [at, at + (matchAt(unquotedValue(name, separator, isParameter), text, at)?.length ?? 0)];
}

function unquotedValue(name: string, separator: string, isParameter: boolean): RegExp {
  if (isParameter)
    return mayContainSpaces(name) ? /[^\r\n&"'`<>]*[^\r\n&"'`<>\\]/y : /[^\s&"'`<>]*[^\s&"'`<>\\]/y;
  // A number in JSON, or a word of `inspect`. The next field follows.
  if (/^\\*["'`]/.test(separator)) return /[^\s,}\]]+/y;
  // Error names look like assignments: "ExpiredToken: The provided token has expired".
  return mayContainSpaces(name) ? /[^\r\n]+/y : /(?!(?:an?|the|this|your) )\S+/iy;
}

const JOIN = /["'`]\s*\+\s*(?=\\*["'`])/y;

/** @returns the end of the quotes at the level of `opening`. Nested JSON escapes its quotes at each level */
function endOfQuoted(text: string, start: number, opening: string): number {
  let [from, open] = [start, opening];
  for (let at = text.indexOf(open.at(-1)!, from); at >= 0; at = text.indexOf(open.at(-1)!, from)) {
    if (!closes(text, start, at, open)) {
      from = at + 1;
      continue;
    }
    // `inspect` formats a text of several lines as 'one\n' + 'two'.
    const join = matchAt(JOIN, text, at);
    if (join === undefined) return at - (open.length - 1);
    open = matchAt(OPENING, text, at + join.length)!;
    from = at + join.length + open.length;
  }
  return text.length;
}

/** At level n, 2^n - 1 backslashes precede each quote. More backslashes escape a backslash or a quote in the text. */
function closes(text: string, start: number, at: number, { length }: string): boolean {
  let backslashes = 0;
  while (at - backslashes > start && text[at - backslashes - 1] === "\\") backslashes++;
  return backslashes % 2 ** (Math.floor(Math.log2(length)) + 1) === length - 1;
}

/** @returns the index after the closing bracket, or the end of the text */
function endOfBrackets(text: string, start: number): number {
  const token = /[[\]{}]|(?<!\\)\\*["'`]/g;
  token.lastIndex = start;
  let depth = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [found] = match;
    if ("[{".includes(found)) depth++;
    else if ("]}".includes(found)) depth--;
    else token.lastIndex = endOfQuoted(text, token.lastIndex, found) + found.length;
    if (depth === 0) return token.lastIndex;
  }
  return text.length;
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** Secret names in lowercase without `-`, `_` and `.`, so that `sessionToken` and `session_token` match alike. */
const SECRET =
  /secret|password|passwd|passphrase|secwebsocketprotocol$|(?:authorization|auth|cookies?|credentials|tokens?|ticket|jwt|signature|assertion)$|(?:api|access|auth|encryption|master|private|shared|signing|subscription)key$|^(?:(?:multivalue)?querystringparameters|rawquerystring|rawheaders)$/;

/** Short words that are secret alone or as the last word: `sig` and `urlSig`, but not `design`. */
const SHORT = /(?:^|[^A-Za-z])(?:sig|pass|pwd|SIG|PASS|PWD)$|(?:^|[a-z\d])(?:Sig|Pass|Pwd)$/;

const KEY = /(?:^|[^A-Za-z])key$/i;

/** Secret query parameters. Their names vary more than those of fields: `oauth_verifier`, `key1`, `token_value`. */
const SECRET_PARAMETER = /auth|key|pass|secret|sig|ticket|token/i;

/** Names whose values may contain spaces: in `authorization: Bearer abc` the secret is the rest of the line. */
const PHRASE = /auth|cookie|credentials|pass|pwd|protocol|secret/i;

/** Maximum length of a name. Only the end of a longer text is tested, because the last word usually decides. */
const MAX_NAME_LENGTH = 128;

/** Returns whether a field, header or variable of this name holds a secret. */
export function isSecretName(name: string): boolean {
  const end = name.slice(-MAX_NAME_LENGTH);
  return SHORT.test(end) || SECRET.test(end.replace(/[-_.\s]/g, "").toLowerCase());
}

/** Returns whether `name=…` holds a secret. `key` does here, as in signed URLs, but not as a field of an object. */
function isSecretParameter(name: string, inQuery: boolean): boolean {
  const end = name.slice(-MAX_NAME_LENGTH);
  return isSecretName(end) || KEY.test(end) || /x-amz-/i.test(end) || (inQuery && SECRET_PARAMETER.test(end));
}

/** Returns whether a number under this name is a count of tokens, such as `maxTokens: 3`. */
function isTokenCount(name: string): boolean {
  return /tokens$/i.test(name);
}

/** Returns whether a value of this name may contain spaces. */
function mayContainSpaces(name: string): boolean {
  return PHRASE.test(name.slice(-MAX_NAME_LENGTH));
}
