// Shows the time of Node and the runtime alone.
export const handler = async () => ({ statusCode: 200 });
