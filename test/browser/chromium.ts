// Debian's path. `npm test` installs it as root.
export const CHROMIUM = process.env.CHROMIUM_PATH || "/usr/bin/chromium";

export const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];
