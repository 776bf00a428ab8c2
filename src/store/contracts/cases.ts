/** The test cases for stores: the public import `lift-ws/testing/stores`. */

export { type BlobStoreUnderTest, blobStoreCases } from "./blobs.cases.ts";
export type {
  ChannelStoreCasesOptions,
  ChannelStoreUnderTest,
  CreateChannelStore,
} from "./channel-store-under-test.ts";
export { channelStoreCases } from "./channels.cases.ts";
export { type ConnectionStoreUnderTest, connectionStoreCases } from "./connections.cases.ts";
export type { CreateRequestStore, RequestStoreUnderTest } from "./request-store-under-test.ts";
export { requestStoreCases } from "./requests.cases.ts";
export { scheduleCases } from "./schedule.cases.ts";
export type { TestRunner } from "./test-runner.ts";
export { ticketStoreCases } from "./tickets.cases.ts";
