/** The framework knows WebSocket events only, so the processor is the one by hand. */
export { handler } from "../../by-hand/lambda/processor.ts";
