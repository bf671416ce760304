import { closeSync, openSync, writeSync } from 'node:fs';

/** The line length that DESIGN's numbers are given for, with its line end. */
export const LINE_BYTES = 115;
const LEVELS = ['INFO', 'INFO', 'INFO', 'INFO', 'WARN', 'INFO', 'DEBUG', 'INFO', 'INFO', 'ERROR'];
const SERVICES = ['orders.OrderService', 'billing.InvoiceJob', 'catalog.SearchIndex', 'auth.SessionStore'];
const MESSAGES: ((a: number, b: number) => string)[] = [
  (a, b) => `request ${a} finished with status 200 in ${b} ms`,
  (a, b) => `cache miss for key user:${a}, loaded in ${b} ms`,
  (a, b) => `retry ${b % 5} of 5 for job ${a} after timeout`,
  (a, b) => `batch of ${b} records committed, offset ${a}`,
];
/** Closes a line, so that all are equally long. */
const TAIL = ' region=eu-central-1 node=ip-10-0-3-17 build=2026.01.02';

/** `count` log lines as a service writes them, 115 bytes each; the same text for the same seed. */
export function logText(count: number, seed = 1): Buffer {
  let state = seed;
  const random = (below: number) => {
    // Numerical Recipes' LCG: repeatable, and compresses no better than real logs do.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  const start = Date.UTC(2026, 0, 2, 3, 4, 5);
  const text = Buffer.allocUnsafe(count * LINE_BYTES);
  for (let i = 0; i < count; i++) {
    const time = new Date(start + (i >> 2)).toISOString();
    const message = MESSAGES[random(MESSAGES.length)](random(1_000_000), random(1000));
    const service = SERVICES[random(SERVICES.length)];
    const line = `${time} ${LEVELS[random(LEVELS.length)]} [worker-${random(16)}] ${service}: ${message}${TAIL}`;
    text.write(line.slice(0, LINE_BYTES - 1), i * LINE_BYTES, 'latin1');
    text[(i + 1) * LINE_BYTES - 1] = 0x0a;
  }
  return text;
}

/** Writes a file of `lines` log lines: different text throughout, a block at a time. */
export function writeLogFile(path: string, lines: number): void {
  const fd = openSync(path, 'w');
  const block = 50_000;
  for (let done = 0; done < lines; done += block) writeSync(fd, logText(Math.min(block, lines - done), done + 1));
  closeSync(fd);
}

/** The same with each line's number, from 0, as its last nine characters: `#00001234`. For whoever counts lines later. */
export function writeNumberedFile(path: string, lines: number): void {
  const fd = openSync(path, 'w');
  const block = 50_000;
  for (let done = 0; done < lines; done += block) {
    const count = Math.min(block, lines - done);
    const text = logText(count, done + 1);
    for (let i = 0; i < count; i++) {
      text.write(`#${String(done + i).padStart(8, '0')}`, (i + 1) * LINE_BYTES - 10, 'latin1');
    }
    writeSync(fd, text);
  }
  closeSync(fd);
}
