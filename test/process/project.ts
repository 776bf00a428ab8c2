import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import WebSocket from "ws";

const ROOT = resolve(import.meta.dirname, "../..");
const MAIN = join(ROOT, "src/cli/main.ts");

/** A user's project in a temporary folder, with files and installed packages. */
export class Project {
  readonly directory: string;
  readonly #running = new Set<Command>();
  readonly #sockets = new Set<WebSocket>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(files: Record<string, string>): Promise<Project> {
    const project = new Project(await mkdtemp(join(tmpdir(), "lift-ws-project-")));
    await mkdir(join(project.directory, "node_modules"));
    await project.install("@aws-sdk");
    await symlink(ROOT, join(project.directory, "node_modules/lift-ws"));
    for (const [name, text] of Object.entries(files)) await project.save(name, text);
    return project;
  }

  /** Installs a development dependency of this tree. */
  async install(name: string): Promise<void> {
    await symlink(join(ROOT, "node_modules", name), join(this.directory, "node_modules", name));
  }

  async save(name: string, text: string): Promise<void> {
    const path = join(this.directory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  /** Runs the command line in the project, without this machine's AWS settings. */
  run(argv: readonly string[], env: Record<string, string> = {}): Command {
    return this.node(MAIN, argv, env);
  }

  /** Runs a script in the project, without this machine's AWS settings. */
  node(script: string, argv: readonly string[] = [], env: Record<string, string> = {}): Command {
    const { PATH, NODE_COMPILE_CACHE } = process.env;
    const child = spawn(process.execPath, ["--conditions=@lift-ws/source", script, ...argv], {
      cwd: this.directory,
      env: { PATH, NODE_COMPILE_CACHE, HOME: this.directory, ...env },
    });
    const lift = new Command(child);
    this.#running.add(lift);
    return lift;
  }

  /** Runs `lift-ws dev` on a free port, and resolves when it listens. */
  async dev(argv: readonly string[], env: Record<string, string> = {}): Promise<Command> {
    const lift = this.run(["dev", "--port", "0", ...argv], env);
    await lift.prints(/^Routes/m);
    return lift;
  }

  /** Opens a client's socket. Rejects with the status when it is refused. */
  async connect(url: string, options: WebSocket.ClientOptions = {}): Promise<WebSocket> {
    const socket = new WebSocket(url, options);
    this.#sockets.add(socket);
    socket.on("error", () => {});
    const opened = once(socket, "open");
    const refused = once(socket, "unexpected-response").then(([, response]) => {
      throw new Error(`refused with ${response.statusCode}`);
    });
    await Promise.race([opened, refused]);
    return socket;
  }

  async remove(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    for (const lift of this.#running) await lift.kill();
    await rm(this.directory, { recursive: true });
  }
}

/** A running command and its output. */
export class Command {
  output = "";
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #printed = new EventEmitter();

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (data: Buffer) => {
        this.output += stripVTControlCharacters(data.toString());
        this.#printed.emit("more");
      });
    }
    this.exited = once(child, "close").then(([code, signal]) => code ?? signal);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Closes the pipes of its output, as a closed terminal or an ended parent does. */
  hangUp(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  get url(): string {
    return /ws:\/\/\S+/.exec(this.output)?.[0] ?? "";
  }

  /** Resolves when the output matches, `times` times. Rejects when the process ends without it. */
  async prints(pattern: RegExp, times = 1): Promise<void> {
    const all = new RegExp(pattern, [...new Set(`${pattern.flags}g`)].join(""));
    const found = () => (this.output.match(all)?.length ?? 0) >= times;
    const ended = this.exited.then((code) => {
      if (!found()) throw new Error(`exit ${code} without ${pattern}:\n${this.output}`);
    });
    while (!found()) await Promise.race([ended, once(this.#printed, "more")]);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}

/** Resolves to the next message as text. */
async function received(socket: WebSocket): Promise<string> {
  const [data] = await once(socket, "message");
  return data.toString();
}

/** Sends a message and resolves to the next received message. */
export async function ask(socket: WebSocket, text: string): Promise<string> {
  const answer = received(socket);
  socket.send(text);
  return answer;
}
