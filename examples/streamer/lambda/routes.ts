// Prints the lounge's routes and the function for each, to configure an API.
import { memoryChannelStore, memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { createLounge } from "../app.ts";

const functions = new Map([
  ["$connect", "connect"],
  ["$disconnect", "disconnect"],
]);
const { app } = createLounge({
  auth: { validateToken: () => Promise.reject(new Error("Must not be called")) },
  store: memoryChannelStore(),
  connectionStore: memoryConnectionStore(),
  schedule: memorySchedule(),
});
const routes = app.routeKeys.map((key) => [key, `./${functions.get(key) ?? "router"}/index.mjs`] as const);
console.log(JSON.stringify({ routes: Object.fromEntries(routes) }, null, 2));
