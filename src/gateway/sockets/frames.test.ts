import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Frame, FrameMeter, textFrame, textFrameOnce } from "./frames.ts";

/** A client's frame: masked with zeros, so that the payload stays as it is. */
function clientFrame(payloadLength: number, { masked = true, first = 0x81 } = {}): Buffer {
  const mask = masked ? 0x80 : 0;
  const header =
    payloadLength < 126
      ? [first, mask | payloadLength]
      : payloadLength < 65_536
        ? [first, mask | 126, payloadLength >> 8, payloadLength & 0xff]
        : [first, mask | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (payloadLength >> shift) & 0xff)];
  return Buffer.concat([Buffer.from(header), Buffer.alloc((masked ? 4 : 0) + payloadLength, 0x61)]);
}

/** Splits bytes at random places, as a network does. */
const chunked = (bytes: Buffer, cuts: number[]) => {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i] ?? bytes.length));
};

describe("FrameMeter", () => {
  it.each([0, 1, 125, 126, 32_767, 32_768])(
    "accepts a frame of %i bytes with a limit of 32,768",
    (length) => {
      expect(new FrameMeter(32_768).exceeds(clientFrame(length))).toBe(false);
    },
  );

  it.each([32_769, 65_535, 65_536, 1_000_000])("detects a frame of %i bytes", (length) => {
    expect(new FrameMeter(32_768).exceeds(clientFrame(length))).toBe(true);
  });

  it("detects a long frame by its header, before its payload arrives", () => {
    expect(new FrameMeter(1_000).exceeds(clientFrame(1_001).subarray(0, 4))).toBe(true);
  });

  it("detects a long frame when the rest of its split header looks like a short frame", () => {
    const bytes = clientFrame(0x8100);
    const meter = new FrameMeter(32_768);
    // The second chunk has 7 bytes: as many as a frame of 1 byte, and 0x81 in the place of its length.
    const chunks = [bytes.subarray(0, 1), bytes.subarray(1, 8)];
    expect(chunks.map((chunk) => meter.exceeds(chunk))).toEqual([false, true]);
  });

  it("accepts a short frame that arrives without its last 12 bytes", () => {
    const bytes = clientFrame(20);
    const meter = new FrameMeter(50);
    expect([bytes.subarray(0, 14), bytes.subarray(14)].map((chunk) => meter.exceeds(chunk))).toEqual([
      false,
      false,
    ]);
  });

  it.each<[string, number, Buffer]>([
    ["the only frame of a chunk", 100, clientFrame(101)],
    ["a frame that starts as a short one of 126 bytes would", 200, clientFrame(2_000).subarray(0, 132)],
    ["an unmasked frame by its header", 100, clientFrame(124, { masked: false }).subarray(0, 2)],
  ])("detects %s, over a limit of %i", (_, limit, chunk) => {
    expect(new FrameMeter(limit).exceeds(chunk)).toBe(true);
  });

  it("detects exactly the inputs with a frame over the limit, for any split of the bytes", () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(lengths, fc.array(fc.nat(), { maxLength: 12 }), fc.boolean(), (lengths, cuts, masked) => {
        const meter = new FrameMeter(200);
        const stream = Buffer.concat(lengths.map((length) => clientFrame(length, { masked })));
        const found = chunked(stream, cuts).some((chunk) => meter.exceeds(chunk));
        expect(found).toBe(lengths.some((length) => length > 200));
      }),
    );
  });

  it("reads any bytes without throwing", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
        const meter = new FrameMeter(1_000);
        for (const chunk of chunks) expect(typeof meter.exceeds(chunk)).toBe("boolean");
      }),
    );
  });
});

/** Decodes server frames: opcode, FIN and payload of each. */
function readFrames(bytes: Buffer) {
  const frames: { fin: boolean; opcode: number; payload: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at]!;
    const short = bytes[at + 1]!;
    expect(short & 0x80, "a server does not mask").toBe(0);
    const header = short === 127 ? 10 : short === 126 ? 4 : 2;
    const length =
      short === 127
        ? Number(bytes.readBigUInt64BE(at + 2))
        : short === 126
          ? bytes.readUInt16BE(at + 2)
          : short;
    const payload = bytes.subarray(at + header, at + header + length);
    frames.push({ fin: (first & 0x80) !== 0, opcode: first & 0x0f, payload });
    at += header + length;
  }
  return frames;
}

/** Returns the bytes that a socket writes. */
const bytes = (frame: Frame) => (typeof frame === "string" ? Buffer.from(frame, "latin1") : frame);

describe("textFrame", () => {
  it("encodes any text in frames of at most the limit, the last one final", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 300 }),
        fc.integer({ min: 1, max: 300 }),
        (text, limit) => {
          const frames = readFrames(textFrame(text, limit));
          expect(Buffer.concat(frames.map(({ payload }) => payload)).toString()).toBe(
            Buffer.from(text).toString(),
          );
          expect(frames.map(({ fin }) => fin)).toEqual(frames.map((_, i) => i === frames.length - 1));
          expect(frames.map(({ opcode }) => opcode)).toEqual(frames.map((_, i) => (i === 0 ? 1 : 0)));
          for (const { payload } of frames) expect(payload.length).toBeLessThanOrEqual(limit);
        },
      ),
    );
  });

  it.each([0, 125, 126, 65_535, 65_536, 131_072])("writes the header of a %i byte message", (length) => {
    const [frame] = readFrames(textFrame("x".repeat(length), Number.POSITIVE_INFINITY));
    expect(frame?.payload.length).toBe(length);
  });

  it("encodes a text and its bytes as the same frame", () => {
    expect(textFrame(Buffer.from("grüße"), 100)).toEqual(textFrame("grüße", 100));
  });

  it("encodes the same bytes for one recipient as for many", () => {
    const ascii = [0, 125, 126, 32_768, 65_535, 65_536].map((length) => "x".repeat(length));
    for (const text of [...ascii, "grüße", "\u007f", "\u0080", "\ud800", Buffer.from("bytes")]) {
      for (const limit of [100, 32_768, Number.POSITIVE_INFINITY]) {
        expect(bytes(textFrameOnce(text, limit)).equals(textFrame(text, limit))).toBe(true);
      }
    }
  });

  it("replaces bytes that are not UTF-8, because a text frame must be UTF-8", () => {
    const [frame] = readFrames(textFrame(Uint8Array.of(0x61, 0xff), 100));
    expect(frame?.payload.toString()).toBe("a\ufffd");
  });
});
