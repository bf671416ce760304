/**
 * Bytes that are kept, in memory of their own: Node makes small buffers as slices of large ones, each of which lives as
 * long as any of its slices.
 */
export function ownCopy(...parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) at += part.copy(bytes, at);
  return bytes;
}

/** The same bytes; a copy, if they would keep much else from being let go. */
export function alone(bytes: Buffer): Buffer {
  return bytes.buffer.byteLength - bytes.length > MAX_BESIDE_BYTES ? ownCopy(bytes) : bytes;
}

const MAX_BESIDE_BYTES = 1024;
