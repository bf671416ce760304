import type { Page } from '../../page.ts';
import { gapJson, linesJson, type Cursors } from './shape.ts';

interface PartsOptions {
  cursors: Cursors;
  order: 'asc' | 'desc';
  /** The answer's members beside `content` and `gaps`. */
  members: Record<string, unknown>;
}

/** A page as JSON, part after part; its lines are read as they are taken. */
export async function* pageParts(page: Page, options: PartsOptions): AsyncGenerator<string, void, undefined> {
  const { cursors, order, members } = options;
  let before = '{"content":[';
  for await (const lines of page.lines()) {
    const json = linesJson(lines, { cursors, prefix: lines.context ? '"context":true,' : '' });
    if (json.length === 0) continue;
    yield before + json.join(',');
    before = ',';
  }
  const gaps = page.gaps.map(gapJson);
  if (order === 'desc') gaps.reverse();
  const rest = {
    ...members,
    ...(gaps.length > 0 && { gaps }),
    ...(page.gapsLeftOut > 0 && { gapsLeftOut: page.gapsLeftOut }),
  };
  yield `${before === ',' ? '' : before}],${JSON.stringify(rest).slice(1)}`;
}
