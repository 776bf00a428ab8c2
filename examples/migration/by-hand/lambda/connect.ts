import { createConnect } from "../connect.ts";
import { auth, services } from "./options.ts";

export const handler = createConnect(services, auth);
