import { request } from 'undici';

/** A relay's figures as `/metrics` says them, by name and labels as they stand there. */
export async function readMetrics(url: URL): Promise<Map<string, number>> {
  const { statusCode, body } = await request(new URL('/metrics', url));
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`/metrics answered ${statusCode}`);
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** ms beyond the timer's own interval, since somebody last looked: of a relay's event loop, all but one in a hundred. */
export async function loopDelayP99(url: URL): Promise<number> {
  return loopDelayIn(await readMetrics(url));
}

export function loopDelayIn(metrics: ReadonlyMap<string, number>): number {
  const seconds = metrics.get('nodejs_eventloop_lag_p99_seconds');
  if (seconds === undefined) throw new Error('/metrics says nothing of the event loop');
  return Math.max(0, seconds * 1000 - RESOLUTION_MS);
}

/** The interval of the timer that measures it. */
const RESOLUTION_MS = 10;
