import { auth, services } from "../../by-hand/lambda/options.ts";
import { createOldApp } from "../app.ts";

export const handler = createOldApp({ services, auth, endpoint: process.env.CONNECTIONS_ENDPOINT }).start();
