/** Measures the longest turn of the event loop in CPU time: wall time would include other processes. */
export class TurnWatch {
  longestMs = 0;
  #before = 0;

  start(): void {
    this.#before = cpuMs();
    this.#look();
  }

  readonly #look = (): void => {
    const now = cpuMs();
    this.longestMs = Math.max(this.longestMs, now - this.#before);
    this.#before = now;
    setTimeout(this.#look, 1);
  };
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
