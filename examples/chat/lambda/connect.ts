import { createConnect } from "../connect.ts";
import { options } from "./options.ts";

export const handler = createConnect(options).webSocketHandler();
