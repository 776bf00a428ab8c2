import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TableStreamEvent } from "../../src/lambda-emulator/index.ts";
import type { FanOutReport } from "../../src/streamer/index.ts";
import { type Chances, type FromServer, NO_FAULTS, type ServerConfig, type ToServer } from "./control.ts";

export interface ServerEvents {
  /** Another process begins. */
  started(): void;
  listening(port: number): void;
  message(message: FromServer): void;
  /** It has ended, asked to or not; another one begins. */
  ended(signal: NodeJS.Signals | null): void;
}

/** A call of the stream's function that is under way. */
interface Call {
  resolve(report: FanOutReport): void;
  reject(error: Error): void;
}

/** Between two looks whether there is a process to call. */
const LOOK_MS = 20;

const MAIN = join(import.meta.dirname, "server.ts");

/** The server, life after life. */
export class ServerProcess {
  readonly #config: ServerConfig;
  readonly #events: ServerEvents;
  readonly #output: WriteStream;
  #child: ChildProcess | undefined;
  /** Which one it is. */
  life = 0;
  listens = false;
  #stopped = false;
  readonly #calls = new Map<number, Call>();
  #called = 0;
  #chances = NO_FAULTS;
  #speed: number;

  /** @param output a file for what it prints */
  constructor(config: ServerConfig, output: string, events: ServerEvents) {
    this.#config = config;
    this.#speed = config.speed;
    this.#output = createWriteStream(output);
    this.#events = events;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    this.#events.started();
    const config: ServerConfig = {
      ...this.#config,
      seed: this.#config.seed + this.life++,
      speed: this.#speed,
    };
    const child = fork(MAIN, [JSON.stringify(config)], {
      execArgv: ["--conditions=@lift-ws/source", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream?.pipe(this.#output, { end: false });
    child.once("exit", (_code, signal) => this.#ended(signal));
    await new Promise<void>((resolve) => {
      child.on("message", (message: FromServer) => {
        if (message.type === "listening") {
          this.listens = true;
          this.chances = this.#chances;
          this.#events.listening(message.port);
          resolve();
        } else if (message.type === "fanned out") this.#returned(message.call, message.report);
        else this.#events.message(message);
      });
      child.once("exit", () => resolve());
    });
  }

  set chances(chances: Chances) {
    this.#chances = chances;
    this.send({ type: "chances", chances });
  }

  set speed(speed: number) {
    this.#speed = speed;
    this.send({ type: "speed", speed });
  }

  /** @returns whether there is a process that could have been told */
  send(message: ToServer): boolean {
    if (this.#child?.connected !== true) return false;
    // What that answers is whether more can be taken at once: with a backlog it is sent as well.
    this.#child.send(message, () => {});
    return true;
  }

  /** Calls the function of the messages' stream, in the next process if there is none. */
  async fanOut(event: TableStreamEvent): Promise<FanOutReport> {
    while (!this.listens && !this.#stopped) await sleep(LOOK_MS);
    const call = ++this.#called;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
      if (!this.send({ type: "fan out", call, event })) this.#returned(call, undefined);
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

  #returned(number: number, report: FanOutReport | undefined): void {
    const call = this.#calls.get(number);
    this.#calls.delete(number);
    if (report === undefined) call?.reject(new Error("The function has failed"));
    else call?.resolve(report);
  }

  #ended(signal: NodeJS.Signals | null): void {
    this.#child = undefined;
    this.listens = false;
    for (const call of [...this.#calls.keys()]) this.#returned(call, undefined);
    if (this.#stopped) return;
    this.#events.ended(signal);
    void this.start();
  }
}
