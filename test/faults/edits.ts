/** A change of the text of one source file, made while it is loaded. The product itself knows nothing of it. */
export interface Edit {
  /** What asked for it, for messages. */
  name: string;
  /** Below the project's folder. */
  file: string;
  /** Text that stands in the file exactly once. */
  anchor: string;
  /** Text that goes before or behind the anchor, or takes its place. */
  before?: string;
  behind?: string;
  instead?: string;
}

/** The source with all edits made. Throws an Error if an anchor is not there exactly once: the source has changed. */
export function edited(source: string, edits: readonly Edit[]): string {
  let text = source;
  for (const edit of edits) {
    const places = placesOf(text, edit.anchor);
    if (places !== 1) {
      throw new Error(
        `${edit.name}: its anchor is ${places === 0 ? 'not' : `${places} times`} in ${edit.file}; ` +
          `adapt the table to the source:\n${edit.anchor}`,
      );
    }
    const { before = '', behind = '', instead = edit.anchor } = edit;
    text = text.replace(edit.anchor, () => `${before}${instead}${behind}`);
  }
  return text;
}

function placesOf(source: string, anchor: string): number {
  return source.split(anchor).length - 1;
}
