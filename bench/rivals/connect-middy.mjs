// The same function on middy: a middleware checks the token, the handler writes the row.
import middy from "@middy/core";
import { claimsOf, save } from "./connect-by-hand.mjs";

const authenticated = {
  before: async ({ event, context }) => {
    context.claims = await claimsOf(event.queryStringParameters?.token);
    if (context.claims === undefined) return { statusCode: 401 };
  },
};

export const handler = middy(async ({ requestContext }, { claims }) => {
  await save(requestContext, claims);
  return { statusCode: 200 };
}).use(authenticated);
