import { createRouter } from "../router.ts";
import { services } from "./options.ts";

export const handler = createRouter(services);
