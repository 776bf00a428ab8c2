import { createDisconnect } from "../disconnect.ts";
import { services } from "./options.ts";

export const handler = createDisconnect(services);
