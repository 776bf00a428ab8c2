export const connection = async () => ({ statusCode: 200 });

export const echo = async ({ body }) => ({ statusCode: 200, body });
