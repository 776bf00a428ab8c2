/**
 * Returns whether a text is an origin as browsers send it, such as `https://app.example` or `http://localhost:5173`. Other
 * schemes such as `capacitor://localhost`, `tauri://localhost` and `chrome-extension://…` are valid, and so is `null`.
 */
export function isOrigin(text: unknown): text is string {
  if (text === "null") return true;
  if (typeof text !== "string" || !URL.canParse(text)) return false;
  const { protocol, host } = new URL(text);
  return `${protocol}//${host}` === text;
}
