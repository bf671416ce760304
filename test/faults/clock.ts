import { closeSync, openSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { steadyNow } from './arming.ts';

/** Says by how many ms the wall clock of all processes that look into the file is wrong from now on. */
export function setClock(path: string, offsetMs: number): void {
  // In one step, so that no one ever reads half of it.
  writeFileSync(`${path}.new`, String(offsetMs));
  renameSync(`${path}.new`, path);
}

/** From now on this thread's wall clock is wrong by what the file says. Timers and the steady clock are not. */
export function bendClock(path: string): void {
  const now = Date.now.bind(Date);
  let offset = 0;
  let lookAt = 0;
  const wrong = (): number => {
    const steady = steadyNow();
    if (steady >= lookAt) {
      lookAt = steady + LOOK_EVERY_MS;
      offset = readOffset(path);
    }
    return now() + offset;
  };
  globalThis.Date = new Proxy(Date, {
    get: (target, name, receiver): unknown => (name === 'now' ? wrong : Reflect.get(target, name, receiver)),
    construct: (target, given: unknown[], newTarget): object =>
      Reflect.construct(target, given.length === 0 ? [wrong()] : given, newTarget) as object,
    apply: () => new Date(wrong()).toString(),
  });
}

function readOffset(path: string): number {
  const fd = openSync(path, 'r');
  try {
    const text = Buffer.alloc(32);
    return Number(text.toString('latin1', 0, readSync(fd, text)));
  } finally {
    closeSync(fd);
  }
}

const LOOK_EVERY_MS = 20;
