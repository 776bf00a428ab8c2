export {
  type AsyncApiDocument,
  type AsyncApiResult,
  asyncApiDocument,
  type DocumentOptions,
} from "./document.ts";
