import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isOrigin } from "./origin.ts";

describe("isOrigin", () => {
  it.each([
    "https://app.example",
    "http://localhost:5173",
    "http://[::1]:3000",
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "chrome-extension://aapocclcgogkmnckokdopfmhonfmgoek",
    "moz-extension://6cd6ec1c-3b2c-4f9d-8b0e-2d3f1c2b4a59",
    "app://obsidian.md",
    "file://",
    "null",
  ])("accepts %s", (text) => expect(isOrigin(text)).toBe(true));

  it.each([
    "",
    "*",
    "app.example",
    "localhost:3000",
    "https://app.example/",
    "https://app.example/path",
    "https://app.example?q",
    "https://app.example:443",
    "https://App.example",
    "https://user@app.example",
    "capacitor://localhost/index.html",
    "data:text/html,x",
    "javascript:alert(1)",
    undefined,
    7,
  ])("refuses %s", (text) => expect(isOrigin(text)).toBe(false));

  it("never throws", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl(), fc.anything()), (text) => {
        expect(typeof isOrigin(text)).toBe("boolean");
      }),
      { seed: 10 },
    );
  });
});
