/** The seed of generated input. `npm run check:properties` draws and prints another one. */
export const SEED = Number(process.env.PROPERTY_SEED ?? 20_260_101);
