/** Tested against a name in lower case without `-`, `_` and `.`: `sessionToken` and `session_token` are one name. */
const SECRET =
  /secret|password|passwd|passphrase|secwebsocketprotocol$|(?:authorization|auth|cookies?|credentials|tokens?|ticket|jwt|signature|assertion)$|(?:api|access|auth|encryption|master|private|shared|signing|subscription)key$|^(?:(?:multivalue)?querystringparameters|rawquerystring|rawheaders)$/;

/** Short words are secret alone or as the last word: `sig` and `urlSig`, but not `design`. */
const SHORT = /(?:^|[^A-Za-z])(?:sig|pass|pwd|SIG|PASS|PWD)$|(?:^|[a-z\d])(?:Sig|Pass|Pwd)$/;

const KEY = /(?:^|[^A-Za-z])key$/i;

/** Query parameters are named more loosely than fields: `oauth_verifier`, `key1`, `token_value`. */
const SECRET_PARAMETER = /auth|key|pass|secret|sig|ticket|token/i;

/** Values that may contain spaces: in `authorization: Bearer abc` the secret is the rest of the line. */
const PHRASE = /auth|cookie|credentials|pass|pwd|protocol|secret/i;

/** No name is longer. The end of a longer text decides, since most secret names are known by their last word. */
const MAX_NAME_LENGTH = 128;

/** Returns whether a field, header or variable of this name holds a secret. */
export function isSecretName(name: string): boolean {
  const end = name.slice(-MAX_NAME_LENGTH);
  return SHORT.test(end) || SECRET.test(end.replace(/[-_.\s]/g, "").toLowerCase());
}

/** Returns whether `name=…` holds a secret. `key` does here, as in signed URLs, but not as a field of an object. */
export function isSecretParameter(name: string, inQuery: boolean): boolean {
  const end = name.slice(-MAX_NAME_LENGTH);
  return isSecretName(end) || KEY.test(end) || /x-amz-/i.test(end) || (inQuery && SECRET_PARAMETER.test(end));
}

/** Returns whether the name counts tokens where its value is a number: `maxTokens: 3`. */
export function isTokenCount(name: string): boolean {
  return /tokens$/i.test(name);
}

export function mayContainSpaces(name: string): boolean {
  return PHRASE.test(name.slice(-MAX_NAME_LENGTH));
}
