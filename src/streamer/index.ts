export type {
  FanOutHandler,
  FanOutOptions,
  FanOutReport,
  TableStreamEvent,
} from "./fan-out/fan-out-recovery.ts";
export type { Identity, NamespaceDescription, NamespaceOptions, Rule } from "./namespaces.ts";
export type { StreamerOptions } from "./options.ts";
export type { SchemaTypes } from "./schema-types.ts";
export {
  createStreamer,
  type PublishOptions,
  type ResumeOptions,
  type ServerOptions,
  type Streamer,
  type StreamerDescription,
} from "./streamer.ts";
