import { readFileSync } from "node:fs";
import { type Files, fileType, type PageHandler, type PageOptions, servePage } from "./serve-page.ts";

const SCRIPTS = ["chat.js", "composer.js", "sign-in.js", "rooms.js", "socket.js", "theme.js", "view.js"];
const FILES = ["index.html", "chat.css", "icon.svg", ...SCRIPTS];

/** Serves the chat's page, and `POST /token`. */
export function page(options: PageOptions): PageHandler {
  const files: Files = new Map(
    FILES.map((name) => {
      const isPage = name === "index.html";
      const content = readFileSync(new URL(`page/${name}`, import.meta.url));
      const body = isPage ? toStage(content.toString(), options.stage) : content;
      return [isPage ? "/" : `/${name}`, { type: fileType(name), body }] as const;
    }),
  );
  return servePage(files, options);
}

/** Sets the path of the API's stage. */
function toStage(html: string, stage = "dev"): string {
  return html.replace('content="/dev"', `content="/${encodeURIComponent(stage)}"`);
}
