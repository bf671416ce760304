import type { Capture } from './capture.ts';
import type { Child, Exit } from './child.ts';
import type { Output } from './output.ts';

/** A process that the script left behind may hold its pipes open: reading ends when it was quiet for this long, … */
const QUIET_MS = 1000;
/** … or at the latest after this long. Time in which we did not read does not count. */
const AT_MOST_MS = 5000;
const LOOK_EVERY_MS = 50;

const LEFT_BEHIND =
  'a process that the script left behind keeps its output open; what it writes from now on is not captured';

/**
 * Captures all that the script writes until it has ended, and what is left in its pipes then. `onExit` is told when it
 * has ended, and answers until when the rest may be read.
 */
export async function runScript(
  child: Child,
  capture: Capture,
  tees: { stdout?: Output; stderr?: Output },
  onExit: () => AbortSignal,
): Promise<Exit> {
  const cut = new AbortController();
  const read = Promise.all([
    capture.attach('stdout', child.stdout, tees.stdout, cut.signal),
    capture.attach('stderr', child.stderr, tees.stderr, cut.signal),
  ]);
  const exit = await child.exited;
  const over = onExit();
  if (!(await endsInTime(read, capture, over))) {
    cut.abort();
    await read;
    capture.note('WARN', LEFT_BEHIND);
  }
  return exit;
}

/** Whether both pipes end before the bounds above are over. */
async function endsInTime(read: Promise<unknown>, capture: Capture, signal: AbortSignal): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<false>((resolve) => {
    let waited = 0;
    let quiet = 0;
    let blocks = capture.blocks;
    timer = setInterval(() => {
      if (signal.aborted) resolve(false);
      if (capture.paused) return;
      waited += LOOK_EVERY_MS;
      quiet = capture.blocks === blocks ? quiet + LOOK_EVERY_MS : 0;
      blocks = capture.blocks;
      if (quiet >= QUIET_MS || waited >= AT_MOST_MS) resolve(false);
    }, LOOK_EVERY_MS);
  });
  try {
    return await Promise.race([read.then(() => true), over]);
  } finally {
    clearInterval(timer);
  }
}
