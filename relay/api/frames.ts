/**
 * WebSocket frames as a server sends them, RFC 6455 section 5.2: unmasked, unfragmented text. They are built here
 * because one that is built once can be written to any number of sockets.
 */
export function textFrame(text: string): Buffer {
  return joinFrames([text]);
}

/** A frame for each text, as one piece of bytes. */
export function joinFrames(texts: readonly string[]): Buffer {
  const lengths = new Uint32Array(texts.length);
  let total = 0;
  for (let i = 0; i < texts.length; i++) {
    const length = Buffer.byteLength(texts[i]);
    lengths[i] = length;
    total += headerBytes(length) + length;
  }
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (let i = 0; i < texts.length; i++) {
    at = writeHeader(bytes, at, lengths[i]);
    at += bytes.write(texts[i], at);
  }
  return bytes;
}

function headerBytes(length: number): number {
  if (length < 126) return 2;
  return length < 65_536 ? 4 : 10;
}

function writeHeader(bytes: Buffer, at: number, length: number): number {
  bytes[at] = FINAL_TEXT;
  if (length < 126) {
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length < 65_536) {
    bytes[at + 1] = 126;
    bytes.writeUInt16BE(length, at + 2);
    return at + 4;
  }
  bytes[at + 1] = 127;
  bytes.writeUInt32BE(0, at + 2);
  bytes.writeUInt32BE(length, at + 6);
  return at + 10;
}

const FINAL_TEXT = 0x81;
