/** An id as every file system takes it: letters and digits of any script, dots within, and `_` for all else. */
export function fileName(id: string): string {
  const characters = Array.from(id.normalize('NFC').replace(/[^\p{L}\p{M}\p{N}._-]+/gu, '_'));
  return characters.slice(0, MAX_NAME_CHARACTERS).join('').replace(/^\.+/, '_');
}

/** Four bytes each at most, where file names may have 255. */
const MAX_NAME_CHARACTERS = 50;
