// The router of the streamer example. It is killed after "die" is stored, before the message is delivered.
import { lounge, store } from "../../examples/streamer/lambda/lounge.ts";

const { history } = store;
const append = history.append.bind(history);
history.append = async (channel, message, ...rest) => {
  const appended = await append(channel, message, ...rest);
  if (message.data === "die") process.kill(process.pid, "SIGKILL");
  return appended;
};

export const handler = lounge.app.webSocketHandler();
