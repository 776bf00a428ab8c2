import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyText } from "../../test/support/any-text.ts";
import { logText, MAX_LOGGED_TEXT, redactField, redactText, truncate } from "./redact.ts";

const SECRET = "c2lnbmF0dXJlLW9mLWFkYQ";
const PAYLOAD = "eyJzdWIiOiJhZGEifQ";
const JWT = `eyJhbGciOiJIUzI1NiJ9.${PAYLOAD}.${SECRET}`;

describe("redactText", () => {
  it.each<[string, string, string]>([
    ["a JWT", `the token ${JWT} is bad`, "the token [redacted] is bad"],
    ["a JWT without a signature", `x ${JWT.replace(/\.[^.]*$/, ".")} y`, "x [redacted] y"],
    ["a truncated JWT", `x ${JWT.slice(0, 35)}`, "x [redacted]"],
    ["a JWT after a word", `jwt-${JWT}`, "jwt-[redacted]"],
    ["an encrypted JWT", `x eyJh.${SECRET}.${SECRET}.${SECRET}.${SECRET} y`, "x [redacted] y"],
    [
      "a private key",
      `-----BEGIN EC PRIVATE KEY-----\n${SECRET}\n${SECRET}\n-----END EC PRIVATE KEY-----`,
      "-----BEGIN EC PRIVATE KEY-----[redacted]-----END EC PRIVATE KEY-----",
    ],
    [
      "a truncated private key",
      `key: BEGIN PRIVATE KEY-----\\n${SECRET}`,
      "key: BEGIN PRIVATE KEY-----[redacted]",
    ],
    ["a bearer token", `Bearer ${SECRET}== failed`, "Bearer [redacted] failed"],
    ["a short bearer token", "bearer hunter2", "bearer [redacted]"],
    ["an encoded bearer token", `x=Bearer%20${SECRET}`, "x=Bearer%20[redacted]"],
    ["a bearer token in a list", `['bearer', '${SECRET}']`, "['bearer', '[redacted]']"],
    ["basic credentials", `Basic ${SECRET}= failed`, "Basic [redacted] failed"],
    ["a URL's password", `redis://:${SECRET}@cache:6379`, "redis://[redacted]@cache:6379"],
    ["a URL's password with an @", `redis://u:p@${SECRET}@cache`, "redis://[redacted]@cache"],
    ["a URL's password with a slash", `redis://u:p/${SECRET}@cache`, "redis://[redacted]@cache"],
    ["a URL's user that is a token", `https://${SECRET}@git.example/x`, "https://[redacted]@git.example/x"],
    ["a second URL's password", `a://h:80/x,b://u:${SECRET}@h`, "a://h:80/x,b://[redacted]@h"],
    ["a URL's fragment", `https://x/#${SECRET} y`, "https://x/#[redacted] y"],
    ["a fragment's token", `/cb#state=1&access_token=${SECRET}`, "/cb#state=1&access_token=[redacted]"],
    [
      "a query's token",
      `GET /prod?room=1&Authorization=${SECRET}&b=2`,
      "GET /prod?room=1&Authorization=[redacted]&b=2",
    ],
    ["a query's ticket", `wss://x/?ticket=${SECRET}`, "wss://x/?ticket=[redacted]"],
    ["a query's sig", `/blob?sig=${SECRET}&sv=1`, "/blob?sig=[redacted]&sv=1"],
    ["a query's signature", `/blob?signature=${SECRET}`, "/blob?signature=[redacted]"],
    ["a query's key", `/maps?key=${SECRET}&q=1`, "/maps?key=[redacted]&q=1"],
    ["a query's parameter like a secret", `/x?oauth_verifier=${SECRET}`, "/x?oauth_verifier=[redacted]"],
    ["a form's field", `user[password]=${SECRET}&a=1`, "user[password]=[redacted]&a=1"],
    [
      "a query in a query",
      `/?to=https%3A%2F%2Fx%2F%3Ftoken%3D${SECRET}`,
      "/?to=https%3A%2F%2Fx%2F%3Ftoken%3D[redacted]",
    ],
    [
      "a presigned URL's parameters",
      `/x?X-Amz-Credential=${SECRET}%2F2&X-Amz-Date=${SECRET}&X-Amz-Signature=${SECRET}&X-Amz-Security-Token=${SECRET}&a=1`,
      "/x?X-Amz-Credential=[redacted]&X-Amz-Date=[redacted]&X-Amz-Signature=[redacted]&X-Amz-Security-Token=[redacted]&a=1",
    ],
    ["a signature", `SignedHeaders=host, Signature=${SECRET}`, "SignedHeaders=host, Signature=[redacted]"],
    ["a variable", `AWS_SECRET_ACCESS_KEY=${SECRET}`, "AWS_SECRET_ACCESS_KEY=[redacted]"],
    ["a quoted variable", `PASSWORD="${SECRET} b" node`, 'PASSWORD="[redacted]" node'],
    ["an option", `--token=${SECRET} --x`, "--token=[redacted] --x"],
    ["a header", `x-api-key: ${SECRET}\nhost: x`, "x-api-key: [redacted]\nhost: x"],
    [
      "a header of several words",
      `Authorization: Own a ${SECRET}\nhost: x`,
      "Authorization: [redacted]\nhost: x",
    ],
    ["cookies", `cookie: a="1"; b=${SECRET}\r\nhost: x`, "cookie: [redacted]\r\nhost: x"],
    [
      "a subprotocol",
      `sec-websocket-protocol: chat, bearer, ${SECRET}\nx`,
      "sec-websocket-protocol: [redacted]\nx",
    ],
    [
      "a signed header",
      `host:x\nx-amz-security-token:${SECRET}//==\n\nhost`,
      "host:x\nx-amz-security-token:[redacted]\n\nhost",
    ],
    [
      "a member of JSON",
      `{"a":1,"refreshToken": "${SECRET}","b":2}`,
      '{"a":1,"refreshToken": "[redacted]","b":2}',
    ],
    ["a text with quotes in JSON", `{"secret":"a\\"${SECRET}","b":2}`, '{"secret":"[redacted]","b":2}'],
    ["a number in JSON", '{"password":123456,"b":2}', '{"password":[redacted],"b":2}'],
    ["a list in JSON", `{"Cookie":["a]=1","b=${SECRET}"],"b":2}`, '{"Cookie":[redacted],"b":2}'],
    [
      "an object in JSON",
      `{"authorization":{"a":["${SECRET}"]},"b":2}`,
      '{"authorization":[redacted],"b":2}',
    ],
    [
      "JSON in JSON",
      JSON.stringify(`{"password":"${SECRET}","b":2}`),
      JSON.stringify('{"password":"[redacted]","b":2}'),
    ],
    ["JSON that is cut", `{"token":"${SECRET}`, '{"token":"[redacted]'],
    ["JSON's list that is cut", `{"cookie":["a","${SECRET}`, '{"cookie":[redacted]'],
  ])("hides %s", (_what, text, shown) => {
    expect(redactText(text)).toBe(shown);
    expect(redactText(shown)).toBe(shown);
  });

  it("hides the secrets that inspect writes", () => {
    const shown = redactText(
      inspect({
        headers: new Map([["authorization", `Own ${SECRET}`]]),
        rawHeaders: ["Authorization", `Own ${SECRET}`],
        privateKey: `-----BEGIN\n${SECRET}\n${SECRET}\n-----END`,
        "sec-websocket-protocol": `${SECRET}-`.repeat(6),
        port: 80,
      }),
    );
    expect(shown).not.toContain(SECRET);
    expect(shown).toContain("port: 80");
  });

  it.each([
    "http://localhost:3001/dev/@connections/abc?page=2",
    "    at f (file:///p/a.mjs:1:2)",
    "ExpiredToken: The provided token has expired",
    'Unrecognized key: "votes"',
    "Bearer token is missing; basic usage",
    "routeKey=say partitionKey: a, maxTokens: 3, tokens=12",
    "design: x, author: y, publicKey: z",
    "it's a token, isn't it?",
  ])("leaves %s", (text) => {
    expect(redactText(text)).toBe(text);
  });

  const plain = fc.stringMatching(/^[a-z ]{0,20}$/);
  const secret = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{10,40}$/).map((text) => `9${text}9`);
  const name = fc.constantFrom(
    "token",
    "sessionToken",
    "secretAccessKey",
    "password",
    "x-api-key",
    "client_secret",
    "sig",
  );
  const written = fc.constantFrom<(name: string, value: string) => string>(
    (name, value) => `?${name}=${value}`,
    (name, value) => `${name}: ${value}\n`,
    (name, value) => JSON.stringify({ [name]: value }),
    (name, value) => JSON.stringify({ a: JSON.stringify([{ [name]: [value, value] }]) }),
    (name, value) => inspect({ a: { [name]: value } }),
    (_name, value) => `Bearer ${value}`,
    (_name, value) => `eyJ${value}.${value}.${value}`,
    (_name, value) => `https://ada:${value}@h/#${value}`,
  );

  it("hides a secret in any surrounding text", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(plain, name, secret, written, plain, (before, name, secret, write, after) => {
        expect(redactText(`${before} ${write(name, secret)} ${after}`)).not.toContain(secret);
      }),
      { seed: 20_261_128, numRuns: 300 },
    );
  });

  it("accepts any text, and does not change other text", { timeout: 60_000 }, () => {
    const piece = fc.constantFrom(
      '"',
      "'",
      "\\",
      ":",
      "=",
      "[",
      "}",
      "token",
      "eyJ.",
      "://",
      "@",
      "#",
      "\n",
      " + ",
      "bearer ",
      "é",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          fc.array(piece).map((all) => all.join("")),
        ),
        (text) => {
          const shown = redactText(text);
          expect(typeof shown).toBe("string");
          expect(redactText(shown)).toBe(shown);
        },
      ),
      { seed: 20_261_128, numRuns: 300 },
    );
  });
});

describe("the duration of redaction", () => {
  const KB = 1_024;
  const ALLOWED_MS = 500;

  /** Returns the CPU time of this thread, the minimum of two runs, because other work on the machine must not count. */
  function cpuMs(text: string): number {
    const runs = [1, 2].map(() => {
      const before = process.threadCpuUsage();
      redactText(text);
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / 1_000;
    });
    return Math.min(...runs);
  }

  it.each([
    "eyJ-",
    "eyJ.",
    "a",
    "-",
    " ",
    "=",
    '"',
    "\\",
    "a:",
    "a\\ ",
    "%3D",
    "#",
    "\n",
    "token",
    "token=",
    "token:[",
    "token:{'",
    "token:{\\'",
    "token: [\\",
    "token:'\\'",
    "token:'x' + ",
    '"token":"\\',
    '\\"token\\":\\"',
    "authorization:\n",
    "password=x ",
    "x-amz-",
    "://",
    "://a:",
    "://a@",
    "bearer ",
    "bearer +",
    "basic,",
    "eyJ.://",
    "BEGIN PRIVATE KEY-----",
  ])("grows linearly with the size of %j", { timeout: 60_000 }, (unit) => {
    const small = cpuMs(unit.repeat((32 * KB) / unit.length));
    const large = cpuMs(unit.repeat((256 * KB) / unit.length));
    // With eight times the size, quadratic work takes 64 times as long: 40 s for `/\\beyJ[\\w-]+\\./g`.
    expect(large).toBeLessThan(Math.max(small * 24, ALLOWED_MS));
  });

  it("does not grow with a truncated text", () => {
    const text = "eyJ- token=".repeat(400_000);
    expect(logText(text)).toHaveLength(MAX_LOGGED_TEXT + `… (${text.length} characters)`.length);
  });
});

describe("logText", () => {
  it("keeps a text up to the limit, and truncates a longer one", () => {
    expect(logText("ab".repeat(5), 10)).toBe("ababababab");
    expect(logText("ab".repeat(6), 10)).toBe("ababababab… (12 characters)");
    expect(logText("a".repeat(MAX_LOGGED_TEXT))).toHaveLength(MAX_LOGGED_TEXT);
    expect(truncate("abc", 3)).toBe("abc");
    expect(truncate("abcd", 3)).toBe("abc… (4 characters)");
  });

  it("shows no part of a secret at the end of a truncated text", () => {
    for (const text of [`${"x ".repeat(30)}redis://:${SECRET}@h`, `${"x ".repeat(30)}${JWT}`]) {
      for (let max = 60; max < text.length; max++) {
        expect(logText(text, max)).not.toMatch(/c2lnbm|eyJzdW/);
      }
    }
  });
});

describe("a log field", () => {
  it.each([
    "authorization",
    "Proxy-Authorization",
    "Cookie",
    "set-cookie",
    "Sec-WebSocket-Protocol",
    "x-api-key",
    "apiKey",
    "secretAccessKey",
    "sessionToken",
    "SESSION_TOKEN",
    "refresh_token",
    "tokens",
    "password",
    "db.password",
    "clientSecret",
    "SecretString",
    "client_secret_value",
    "passphrase",
    "privateKey",
    "sig",
    "urlSig",
    "signature",
    "X-Amz-Signature",
    "jwt",
    "wsTicket",
    "auth",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "rawHeaders",
  ])("is hidden when its name is %s", (name) => {
    for (const value of ["hunter2", ["hunter2"], { a: "hunter2" }]) {
      expect(redactField(name, value)).toBe("[redacted]");
    }
  });

  it.each([
    "key",
    "routeKey",
    "connectionId",
    "accessKeyId",
    "design",
    "author",
    "compass",
    "code",
    "tokenCount",
  ])("is shown when its name is %s", (name) => {
    expect(redactField(name, "shown")).toBe("shown");
  });

  it("is shown when it counts tokens, or has no value", () => {
    expect(redactField("tokens", 3)).toBe(3);
    expect(redactField("token", null)).toBeNull();
    expect(redactField("token", undefined)).toBeUndefined();
    expect(redactField("password", 1234)).toBe("[redacted]");
  });
});
