export {
  authorizerEvent,
  connectEvent,
  createTestWebSocketEvent,
  disconnectEvent,
  lambdaContext,
  messageEvent,
} from "./testing/events.ts";
export { type RecordedMessage, RecordingConnections, recordingConnections } from "./testing/recording.ts";
