/** When a JWT expires, in ms since the epoch; `undefined`: it does not say, or is none. Nothing is verified. */
export function expiryOf(token = ""): number | undefined {
  try {
    const payload = token.split(".")[1] ?? "";
    const { exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    return Number.isFinite(exp) ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
