// Prints the chat's routes and the function for each, to configure an API.
import { memoryConnectionStore, memorySchedule } from "lift-ws/store/memory";
import { createChat } from "../app.ts";

const functions = new Map([
  ["$connect", "connect"],
  ["$disconnect", "disconnect"],
]);
const refuse = () => Promise.reject(new Error("Must not be called"));
const { routeKeys } = createChat({
  verify: refuse,
  connectionStore: memoryConnectionStore(),
  schedule: memorySchedule(),
});
const routes = routeKeys.map((key) => [key, `./${functions.get(key) ?? "router"}/index.mjs`] as const);
console.log(JSON.stringify({ routes: Object.fromEntries(routes) }, null, 2));
