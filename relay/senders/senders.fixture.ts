import type { TestContext } from 'node:test';
import { readStoredHeader } from '../../shared/chunk.ts';
import { decodeLines, decompress, type LineInput } from '../../shared/columns.ts';
import { kindOf } from '../../shared/line.ts';
import { ANYBODY } from '../auth/principal.ts';
import type { Caller } from '../caller.ts';
import { T0, type Reading } from '../reading.fixture.ts';
import type { Store } from '../store/store.ts';
import { UNLIMITED } from './sender-limits.ts';
import { Senders, type SendersOptions } from './senders.ts';

/** Senders over a test's store, which end before it. Their sweeps are the test's. */
export async function openSenders(
  t: TestContext,
  reading: Pick<Reading, 'store' | 'tail'>,
  options: Partial<SendersOptions> = {},
): Promise<Senders> {
  const senders = new Senders({
    store: reading.store,
    tail: reading.tail,
    disk: { state: { room: true, freeBytes: Infinity }, full: () => undefined },
    limits: UNLIMITED,
    seenEveryMs: 1000,
    graceMs: 60_000,
    postIdleMs: 600_000,
    onFatal: () => undefined,
    log: { info: () => undefined, error: () => undefined },
    ...options,
  });
  await senders.start();
  t.after(() => senders.stop());
  return senders;
}

/** Somebody on this machine, who may do everything. */
export const SOMEBODY: Caller = { principal: ANYBODY, address: '127.0.0.1', requestId: 'r' };

/** A store of which some methods are replaced. */
export function storeWith(store: Store, replaced: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name: keyof Store) {
      const method: unknown = Reflect.get(name in replaced ? replaced : target, name);
      return typeof method === 'function' ? (method as () => unknown).bind(target) : method;
    },
  });
}

/** A line of INFO. */
export function line(text: string): LineInput {
  return { time: T0, kind: kindOf('agent', 'INFO'), text: Buffer.from(text) };
}

/** The lines of a task as they are stored, `number text`, or `gap`. */
export async function storedLines(reading: Pick<Reading, 'store'>, task: string): Promise<string[]> {
  const found: string[] = [];
  for (let next = 1; ;) {
    const stored = await reading.store.read({ from: { task, line: next }, maxBytes: 1 << 20 });
    if (stored.length === 0) return found;
    for (const one of stored) {
      next = one.firstLine + one.count;
      if (one.kind === 'gap' || one.body === undefined) {
        found.push('gap');
        continue;
      }
      const header = readStoredHeader(one.header);
      const { text, starts } = decodeLines(header, decompress(header, one.body));
      for (let i = 0; i < header.count; i++) {
        found.push(`${one.firstLine + i} ${text.toString('utf8', starts[i], starts[i + 1] - 1)}`);
      }
    }
  }
}
