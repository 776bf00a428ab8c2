/** Characters of a token: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2 */
const HTTP_TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Returns whether a text is an HTTP token, the form that header names and subprotocol names must have. */
export function isHttpToken(text: string): boolean {
  return HTTP_TOKEN.test(text);
}
