// What Node and the runtime take by themselves.
export const handler = async () => ({ statusCode: 200 });
