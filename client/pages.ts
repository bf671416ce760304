import type { Page } from './records.ts';

/** Pages from a place on to the last one, each asked for when the one before was taken. */
export async function* pagesFrom<C, P extends Pick<Page<unknown>, 'next'>>(
  first: C,
  ask: (cursor: C | string) => Promise<P>,
): AsyncGenerator<P, void, undefined> {
  let cursor: C | string = first;
  for (;;) {
    const page = await ask(cursor);
    yield page;
    if (page.next === null) return;
    cursor = page.next;
  }
}
