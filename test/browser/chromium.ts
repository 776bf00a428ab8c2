import { findChromium } from "../../tools/programs.mjs";

export const CHROMIUM = findChromium() ?? "chromium";

export const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];
