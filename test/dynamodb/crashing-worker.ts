// The worker of the streamer example. Its first attempt is killed once it has saved two checkpoints, and no request
// completes while the file `HOLD_FILE` exists.
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { createLounge } from "../../examples/streamer/app.ts";
import { store, workers } from "../../examples/streamer/lambda/lounge.ts";
import { auth, connectionStore, schedule } from "../../examples/streamer/lambda/options.ts";

const { requests } = store;
if (requests === undefined) throw new Error("The store has no requests");
const claim = requests.claim.bind(requests);
const saveCheckpoint = requests.saveCheckpoint.bind(requests);
const finish = requests.finish.bind(requests);
let [attempt, saved] = [0, 0];
requests.claim = async (...options) => {
  const claimed = await claim(...options);
  attempt = claimed?.request.attempt ?? 0;
  return claimed;
};
requests.saveCheckpoint = async (...options) => {
  const isSaved = await saveCheckpoint(...options);
  if (attempt === 1 && ++saved === 2) process.kill(process.pid, "SIGKILL");
  return isSaved;
};
requests.finish = async (...options) => {
  while (existsSync(process.env.HOLD_FILE ?? "")) await wait(20);
  return finish(...options);
};

// A short lease, which the tick finds expired soon after the end of the process.
const lounge = createLounge({
  auth,
  store,
  connectionStore,
  schedule,
  stepMs: 50,
  requests: { leaseMs: 3_000 },
});

export const handler = lounge.workerHandler(workers);
