export interface Options {
  readonly size: number;
}

export function create(options: Options): number {
  return options.size;
}
