import { createClient, type Client } from '../client/client.ts';
import { tailGroups } from '../client/tail.ts';
import { Dialer } from '../agent/dialer.ts';
import { viewerConnect } from '../agent/logs-socket.ts';
import type { EndMessage, GapMessage, LogMessage } from '../shared/viewer-messages.ts';
import type { Context } from './programs.ts';

export type LogEntry = LogMessage | GapMessage;

/** Somebody who follows a task from its first line on, across whatever happens to the relay. */
export class Viewer {
  readonly log: LogEntry[] = [];
  /** The last one that was said. */
  end: EndMessage | undefined;
  /** How often the connection had to be made again. */
  reconnects = 0;
  #nextLine = 1;
  #failure: unknown;
  readonly #leave = new AbortController();
  #changed: (() => void)[] = [];

  constructor(context: Context, where: LogPlace) {
    context.after(() => this.#leave.abort());
    void this.#follow(where);
  }

  /** Resolves when line `line`, or a gap in its place, has arrived. */
  async sees(line: number): Promise<void> {
    await this.#until(() => this.#nextLine > line);
  }

  /** Resolves when the task's last run is over. */
  async ended(): Promise<EndMessage> {
    await this.#until(() => this.end !== undefined);
    // eslint-disable-next-line @typescript-eslint/no-non-null-assertion -- it was waited for
    return this.end!;
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.#failure !== undefined) throw this.#failure as Error;
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  async #follow({ url, task }: LogPlace): Promise<void> {
    const { signal } = this.#leave;
    const client = clientOf({ url, task });
    try {
      for await (const events of tailGroups(client, { task }, { from: 'start', signal })) {
        for (const event of events) {
          if (event.type === 'log') this.#nextLine = event.lineNumber + 1;
          if (event.type === 'gap') this.#nextLine = event.toLine + 1;
          if (event.type === 'log' || event.type === 'gap') this.log.push(event);
          if (event.type === 'end') this.end = event;
          if (event.type === 'lag') this.reconnects++;
        }
        for (const resolve of this.#changed.splice(0)) resolve();
      }
    } catch (error) {
      this.#failure = error;
      for (const resolve of this.#changed.splice(0)) resolve();
    }
  }
}

export interface LogPlace {
  /** Of the relay, `http://host:port`. */
  url: string;
  task: string;
}

/** A task's log as it is now. */
export async function readLog(place: LogPlace): Promise<LogEntry[]> {
  const log: LogEntry[] = [];
  const client = clientOf(place);
  try {
    for await (const events of tailGroups(client, { task: place.task }, { follow: false })) {
      for (const event of events) {
        if (event.type === 'log' || event.type === 'gap') log.push(event);
        if (event.type === 'lag') throw new Error(event.problem);
      }
    }
    return log;
  } finally {
    client.close();
  }
}

/** The text of a task's lines as they are now, without gaps. */
export async function readLines(place: LogPlace): Promise<string[]> {
  return (await readLog(place)).filter((entry) => entry.type === 'log').map(({ message }) => message);
}

/** A task as `GET /api/v1/tasks/{taskId}` shows it. */
export async function readTask({ url, task }: LogPlace): Promise<TaskView> {
  const response = await fetch(`${url}/api/v1/tasks/${encodeURIComponent(task)}`);
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  return (await response.json()) as TaskView;
}

/** The members that tests look at. */
export interface TaskView {
  status: string;
  exitCode: number | null;
  signal: string | null;
  lines: number;
  missing: number;
  labels: Record<string, string>;
  pipelineId: string | null;
  runs: { run: string; status: string; reason: string | null; command: string | null; verified: boolean | null }[];
}

function clientOf({ url, task }: LogPlace): Client {
  const dialer = new Dialer({ connectTimeoutMs: 5000 });
  const urls = [`${url.replace('http', 'ws')}/ws/tasks`];
  const webSocket = viewerConnect({ urls, task, dialer, timeoutMs: 5000 });
  return createClient({ url, webSocket, backoff: { minMs: 20, maxMs: 100 } });
}
