import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TableStreamEvent } from "../../src/lambda-emulator/index.ts";
import type { FanOutReport } from "../../src/streamer/index.ts";
import {
  type FaultRates,
  type FromServer,
  NO_FAULTS,
  type ServerConfig,
  type ToServer,
} from "./process-messages.ts";

export interface ServerEvents {
  /** A new process starts. */
  started(): void;
  listening(port: number): void;
  message(message: FromServer): void;
  /** The process ended, killed or by itself. A new one starts. */
  ended(signal: NodeJS.Signals | null): void;
}

/** A pending call of the fan-out function. */
interface Call {
  resolve(report: FanOutReport): void;
  reject(error: Error): void;
}

/** Interval between two checks for a listening process. */
const POLL_MS = 20;

const MAIN = join(import.meta.dirname, "server.ts");

/** Runs the server process, and starts another one whenever it ends. */
export class ServerProcess {
  readonly #config: ServerConfig;
  readonly #events: ServerEvents;
  readonly #output: WriteStream;
  #child: ChildProcess | undefined;
  /** Number of processes started. */
  starts = 0;
  isListening = false;
  #stopped = false;
  readonly #calls = new Map<number, Call>();
  #called = 0;
  #faultRates = NO_FAULTS;
  #speed: number;

  /** @param output path of the file for its output */
  constructor(config: ServerConfig, output: string, events: ServerEvents) {
    this.#config = config;
    this.#speed = config.speed;
    this.#output = createWriteStream(output);
    this.#events = events;
  }

  /** Resolves when the server listens. */
  async start(): Promise<void> {
    this.#events.started();
    const config: ServerConfig = {
      ...this.#config,
      seed: this.#config.seed + this.starts++,
      speed: this.#speed,
    };
    const child = fork(MAIN, [JSON.stringify(config)], {
      execArgv: ["--conditions=@lift-ws/source", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream?.pipe(this.#output, { end: false });
    child.once("exit", (_code, signal) => this.#onExit(signal));
    await new Promise<void>((resolve) => {
      child.on("message", (message: FromServer) => {
        if (message.type === "listening") {
          this.isListening = true;
          this.faultRates = this.#faultRates;
          this.#events.listening(message.port);
          resolve();
        } else if (message.type === "fanned out") this.#settle(message.call, message.report);
        else this.#events.message(message);
      });
      child.once("exit", () => resolve());
    });
  }

  set faultRates(rates: FaultRates) {
    this.#faultRates = rates;
    this.send({ type: "fault rates", rates });
  }

  set speed(speed: number) {
    this.#speed = speed;
    this.send({ type: "speed", speed });
  }

  /** @returns whether a process was there to receive the message */
  send(message: ToServer): boolean {
    if (this.#child?.connected !== true) return false;
    // The return value of `send` reports a backlog only. The message is sent in any case.
    this.#child.send(message, () => {});
    return true;
  }

  /** Calls the fan-out function, in the next process if none is running. */
  async fanOut(event: TableStreamEvent): Promise<FanOutReport> {
    while (!this.isListening && !this.#stopped) await sleep(POLL_MS);
    const call = ++this.#called;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
      if (!this.send({ type: "fan out", call, event })) this.#settle(call, undefined);
    });
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    this.#output.end();
  }

  #settle(number: number, report: FanOutReport | undefined): void {
    const call = this.#calls.get(number);
    this.#calls.delete(number);
    if (report === undefined) call?.reject(new Error("The fan-out function failed"));
    else call?.resolve(report);
  }

  #onExit(signal: NodeJS.Signals | null): void {
    this.#child = undefined;
    this.isListening = false;
    for (const call of [...this.#calls.keys()]) this.#settle(call, undefined);
    if (this.#stopped) return;
    this.#events.ended(signal);
    void this.start();
  }
}
