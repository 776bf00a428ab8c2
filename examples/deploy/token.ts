// Prints a token for a user, signed with the deployment's secret: `TOKEN_SECRET=… node token.ts ann`.
import { SignJWT } from "jose";

const [user = "smoke"] = process.argv.slice(2);
const { TOKEN_SECRET = "" } = process.env;
const token = await new SignJWT({ sub: user, iss: "lift-ws-development", aud: "lift-ws-development" })
  .setProtectedHeader({ alg: "HS256" })
  .setIssuedAt()
  .setExpirationTime("10m")
  .sign(Buffer.from(TOKEN_SECRET, "base64url"));
console.log(token);
