import { expect, it } from "vitest";
import { isHttpToken } from "./http-token.ts";

it.each(["graphql-ws", "v1.chat", "a_b~c", "!#$%&'*+-.^_`|~"])("accepts %s", (text) => {
  expect(isHttpToken(text)).toBe(true);
});

it.each(["", " ", "a b", "a,b", 'a"b', "a/b", "a:b", "a\r\nb", "é"])("rejects %j", (text) => {
  expect(isHttpToken(text)).toBe(false);
});
