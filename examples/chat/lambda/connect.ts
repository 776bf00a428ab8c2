import { createConnectHandler } from "../connect.ts";
import { options } from "./options.ts";

export const handler = createConnectHandler(options);
