// Long work: starts it, shows how far it is, and finds it again after a reload or in another window.
import { type Client, ClientError, type Job, type Json, type WatchOptions } from "lift-ws/client";
import { element } from "./view.js";

interface Kind {
  readonly label: string;
  readonly input: () => Json;
}

const DAY_MS = 24 * 60 * 60_000;

const KINDS: { readonly [action: string]: Kind } = {
  generate_report: {
    label: "Report",
    input: () => ({ start_date: dayBefore(30), end_date: dayBefore(1), format: "csv", report_type: "sales" }),
  },
  process_data: { label: "Data", input: () => ({ dataset_id: "demo", operation: "sum" }) },
  tell_story: { label: "Story", input: () => null },
};

/** Shown at once. */
const MOST = 6;

function dayBefore(days: number): string {
  return new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10);
}

interface ReportFile {
  readonly file: string;
  readonly content_type: string;
  readonly base64: string;
}

export class Work {
  readonly #client: Client;
  readonly #list: HTMLElement;
  /** The channel that all windows of this user hear. */
  readonly #windows: string;
  readonly #shown = new Set<string>();

  constructor(client: Client, user: string, starts: HTMLElement, list: HTMLElement) {
    this.#client = client;
    this.#list = list;
    this.#windows = `user:${user}`;
    list.replaceChildren();
    const buttons = Object.entries(KINDS).map(([action, { label, input }]) => {
      const button = element("button", "", label) as HTMLButtonElement;
      button.type = "button";
      button.onclick = () => this.#start(action, input());
      return button;
    });
    starts.replaceChildren(...buttons);
    client.subscribe(this.#windows, { onMessage: () => void this.load() });
  }

  /** Shows the user's newest work, from all windows. */
  async load(): Promise<void> {
    try {
      const { requests } = await this.#client.requests({ limit: MOST });
      for (const { id, action } of requests.toReversed()) {
        if (!this.#shown.has(id)) this.#show(action, (options) => this.#client.attach(id, options));
      }
    } catch (error) {
      // NOT_FOUND: this server answers everything in place. After other errors the next connection loads it.
      if (!(error instanceof ClientError)) throw error;
    }
  }

  #start(action: string, input: Json): void {
    const job = this.#show(action, (options) => this.#client.request(action, input, options));
    this.#client.publish(this.#windows, { started: job.id }).catch(() => {});
  }

  #show(action: string, begin: (options: WatchOptions) => Job): Job {
    const says = element("span", "says quiet", "Waiting");
    const bar = element("progress") as HTMLProgressElement;
    bar.max = 100;
    bar.value = 0;
    const text = element("span");
    const output = element("pre", "", text);
    output.hidden = true;
    const button = element("button", "", "Cancel") as HTMLButtonElement;
    button.type = "button";
    const { label = action } = KINDS[action] ?? {};
    const entry = element(
      "li",
      "job",
      element("header", "", element("span", "name", label), button),
      bar,
      says,
      output,
    );
    this.#list.prepend(entry);
    const job = begin({
      onProgress: ({ percentage, message, attempt }) => {
        bar.value = percentage;
        says.textContent = [message || "Running", attempt > 1 ? `attempt ${attempt}` : ""]
          .filter(Boolean)
          .join(", ");
      },
      onOutput: (chunk) => {
        output.hidden = false;
        text.append(typeof chunk === "string" ? chunk : JSON.stringify(chunk));
      },
    });
    entry.dataset.job = job.id;
    this.#shown.add(job.id);
    button.onclick = () => {
      button.disabled = true;
      job.cancel().catch(() => {
        button.disabled = false;
      });
    };
    job.then(
      (result) => {
        entry.dataset.state = "done";
        bar.value = 100;
        button.remove();
        says.textContent = "Done";
        if (isFile(result)) says.append(" · ", download(result));
      },
      (error: ClientError) => {
        entry.dataset.state = error.code === "CANCELLED" ? "cancelled" : "failed";
        button.remove();
        says.textContent = error.code === "CANCELLED" ? "Cancelled" : error.message;
      },
    );
    return job;
  }
}

function isFile(result: Json): result is Json & ReportFile {
  return typeof result === "object" && result !== null && "base64" in result;
}

function download({ file, content_type: type, base64 }: ReportFile): HTMLElement {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const link = element("a", "", file) as HTMLAnchorElement;
  link.href = URL.createObjectURL(new Blob([bytes], { type }));
  link.download = file;
  return link;
}
