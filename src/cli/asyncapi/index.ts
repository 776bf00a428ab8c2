export {
  type AsyncApiDocument,
  asyncApiDocument,
  type Documented,
  type DocumentOptions,
} from "./document.ts";
