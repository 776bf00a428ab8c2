export {
  authorizerEvent,
  connectEvent,
  createTestWebSocketEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
} from "./events.ts";
export { type RecordedMessage, RecordingConnections, recordingConnections } from "./recording.ts";
