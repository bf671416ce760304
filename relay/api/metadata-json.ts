/** What a sender gave as metadata. It was stored unread, so it may be anything. */
export function readMetadata(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { unreadable: text };
}

/** The same, as JSON. */
export function metadataJson(text: string): string {
  return JSON.stringify(readMetadata(text));
}
