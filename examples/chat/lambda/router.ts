import { createChat } from "../app.ts";
import { options } from "./options.ts";

export const handler = createChat(options).webSocketHandler();
