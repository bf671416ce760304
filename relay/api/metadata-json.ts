import { parseMetadata } from '../metadata.ts';

/** What a sender gave as metadata. It was stored unread, so it may be anything. */
export function readMetadata(text: string): Record<string, unknown> {
  const value = parseMetadata(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  return { unreadable: text };
}

/** The same, as JSON. */
export function metadataJson(text: string): string {
  return JSON.stringify(readMetadata(text));
}
