import { useCallback, useEffect, useRef, useState } from 'react';
import type { Client } from '../client.ts';
import type { MergedEvent } from '../events.ts';
import { tailGroups, type TailOptions } from '../tail.ts';
import { LogWindow, type Row } from './log-window.ts';

export type StreamStatus = 'stopped' | 'connecting' | 'connected' | 'failed';

export interface LogStream {
  rows: readonly Row[];
  status: StreamStatus;
  /** What is wrong, if anything. */
  problem: string | undefined;
  streaming: boolean;
  start: () => void;
  stop: () => void;
  clear: () => void;
}

export interface LogStreamOptions {
  client: Client;
  jobRunId: string | undefined;
  /** How many rows are kept. */
  keep: number;
  autoStart: boolean;
}

/**
 * The last rows of a job run's log, or of everything: those that there are, and what follows. After `stop`, `start` goes
 * on where it was. However much comes, the page is drawn once a frame.
 */
export function useLogStream({ client, jobRunId, keep, autoStart }: LogStreamOptions): LogStream {
  const [wanted, setWanted] = useState(autoStart);
  const [failed, setFailed] = useState<Kept>();
  // What belongs to another log is not shown of this one.
  const [link, setLink] = useState<LinkState>();
  const [drawn, setDrawn] = useState<{ of: Kept; rows: readonly Row[] }>();
  const kept = useRef<Kept>(undefined);
  if (kept.current?.client !== client || kept.current.jobRunId !== jobRunId || kept.current.keep !== keep) {
    kept.current = {
      client,
      jobRunId,
      keep,
      window: new LogWindow(keep),
      place: { lines: Math.min(keep, MAX_FIRST_LINES) },
    };
  }
  const { current } = kept;
  const streaming = wanted && failed !== current;

  useEffect(() => {
    if (!streaming) return undefined;
    const leave = new AbortController();
    let frame: number | undefined;
    const draw = (): void => {
      frame ??= requestAnimationFrame(() => {
        frame = undefined;
        setDrawn({ of: current, rows: current.window.rows });
      });
    };
    const follow = async (): Promise<void> => {
      const target = jobRunId === undefined ? { all: true as const } : { pipeline: jobRunId };
      for await (const events of tailGroups(client, target, { ...current.place, signal: leave.signal })) {
        // What comes after it was stopped comes again when it is started.
        if (leave.signal.aborted) return;
        current.window.add(events);
        for (const event of events) note(event);
        draw();
      }
    };
    const note = (event: MergedEvent): void => {
      if (event.type === 'log') current.place = { after: event.id };
      else if ('cursor' in event) current.place = { from: event.cursor };
      if (event.type === 'lag') setLink({ of: current, status: 'connecting', problem: event.problem });
      else if (event.type === 'subscribed') setLink({ of: current, status: 'connected', problem: undefined });
    };
    follow().catch((error: unknown) => {
      if (leave.signal.aborted) return;
      setLink({ of: current, status: 'failed', problem: (error as Error).message });
      setFailed(current);
    });
    return () => {
      leave.abort();
      if (frame === undefined) return;
      cancelAnimationFrame(frame);
      setDrawn({ of: current, rows: current.window.rows });
    };
  }, [client, jobRunId, current, streaming]);

  const start = useCallback(() => {
    setWanted(true);
    setFailed(undefined);
    setLink(undefined);
  }, []);
  const stop = useCallback(() => {
    setWanted(false);
    setLink(undefined);
  }, []);
  const clear = useCallback(() => {
    current.window.clear();
    setDrawn({ of: current, rows: [] });
  }, [current]);
  const rows = drawn?.of === current ? drawn.rows : current.window.rows;
  const known = link?.of === current ? link : undefined;
  const status = known?.status ?? (streaming ? 'connecting' : 'stopped');
  return { rows, status, problem: known?.problem, streaming, start, stop, clear };
}

/** A relay looks for no more than that before the end of several tasks' lines. */
const MAX_FIRST_LINES = 1000;

/** What is known of the connection. */
interface LinkState {
  of: Kept;
  status: StreamStatus;
  problem: string | undefined;
}

/** What outlives a stop, and belongs to one log. */
interface Kept {
  client: Client;
  jobRunId: string | undefined;
  keep: number;
  window: LogWindow;
  place: Pick<TailOptions, 'from' | 'after' | 'lines'>;
}
