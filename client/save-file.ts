import { ClientError } from './errors.ts';

/** Has the browser save what is at an address, as a file of this name. Throws a ClientError where there is no page. */
export function saveFile(href: string, name: string): void {
  const { document: page } = globalThis as { document?: Page };
  if (page === undefined) throw new ClientError('INVALID_INPUT', 'Only a page in a browser can save a file this way.');
  const link = page.createElement('a');
  link.href = href;
  link.download = name;
  page.body.append(link);
  link.click();
  link.remove();
}

/** As `saveFile`, of content that is at hand. */
export function saveBlob(content: Blob, name: string): void {
  const href = URL.createObjectURL(content);
  try {
    saveFile(href, name);
  } finally {
    // The browser has begun to read it by then.
    setTimeout(() => URL.revokeObjectURL(href), REVOKE_AFTER_MS);
  }
}

/** What is used of a page; this package is also loaded where there is none. */
interface Page {
  createElement(tag: 'a'): { href: string; download: string; click(): void; remove(): void };
  body: { append(element: object): void };
}

const REVOKE_AFTER_MS = 60_000;
