import { readFileSync } from "node:fs";
import { type Files, fileType, type PageHandler, type PageOptions, servePage } from "./serve-page.ts";

const SCRIPTS = ["chat.js", "composer.js", "sign-in.js", "rooms.js", "socket.js", "theme.js", "view.js"];
const FILES = ["index.html", "chat.css", "icon.svg", ...SCRIPTS];

/** Serves the chat's page, and `POST /token`. */
export function page(options: PageOptions): PageHandler {
  const files: Files = new Map(
    FILES.map((file) => [
      file === "index.html" ? "/" : `/${file}`,
      { type: fileType(file), body: readFileSync(new URL(`page/${file}`, import.meta.url)) },
    ]),
  );
  return servePage(files, options);
}
