/** A part of the client that ships only with applications that pass it to the option `use`. */
export interface ClientFeature {
  /** Adds the feature to a client, given the client's inner parts. @returns the methods that it implements */
  install(core: never): object;
}
