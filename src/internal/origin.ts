/**
 * Tells whether a text is an origin as browsers write it: `https://app.example`, `http://localhost:5173`, or one of
 * another scheme, such as `capacitor://localhost`, `tauri://localhost` and `chrome-extension://…`; `null` is one too.
 */
export function isOrigin(text: unknown): text is string {
  if (text === "null") return true;
  if (typeof text !== "string" || !URL.canParse(text)) return false;
  const { protocol, host } = new URL(text);
  return `${protocol}//${host}` === text;
}
