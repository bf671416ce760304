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
  const [streaming, setStreaming] = useState(autoStart);
  const [status, setStatus] = useState<StreamStatus>('stopped');
  const [problem, setProblem] = useState<string>();
  const [rows, setRows] = useState<readonly Row[]>([]);
  const kept = useRef<Kept>(undefined);
  if (kept.current?.client !== client || kept.current.jobRunId !== jobRunId || kept.current.keep !== keep) {
    kept.current = { client, jobRunId, keep, window: new LogWindow(keep), place: { lines: keep } };
  }
  const { current } = kept;

  useEffect(() => {
    setRows(current.window.rows);
    if (!streaming) return undefined;
    const leave = new AbortController();
    let frame: number | undefined;
    const draw = (): void => {
      frame ??= requestAnimationFrame(() => {
        frame = undefined;
        setRows(current.window.rows);
      });
    };
    const follow = async (): Promise<void> => {
      const target = jobRunId === undefined ? { all: true as const } : { pipeline: jobRunId };
      for await (const events of tailGroups(client, target, { ...current.place, signal: leave.signal })) {
        current.window.add(events);
        for (const event of events) note(event);
        draw();
      }
    };
    const note = (event: MergedEvent): void => {
      if (event.type === 'log') current.place = { after: event.id };
      else if ('cursor' in event) current.place = { from: event.cursor };
      if (event.type === 'lag') {
        setStatus('connecting');
        setProblem(event.problem);
      } else if (event.type === 'subscribed') {
        setStatus('connected');
        setProblem(undefined);
      }
    };
    setStatus('connecting');
    follow().catch((error: unknown) => {
      if (leave.signal.aborted) return;
      setStatus('failed');
      setProblem((error as Error).message);
      setStreaming(false);
    });
    return () => {
      leave.abort();
      if (frame !== undefined) cancelAnimationFrame(frame);
    };
  }, [client, jobRunId, current, streaming]);

  const start = useCallback(() => setStreaming(true), []);
  const stop = useCallback(() => {
    setStreaming(false);
    setStatus('stopped');
    setProblem(undefined);
  }, []);
  const clear = useCallback(() => {
    kept.current?.window.clear();
    setRows([]);
  }, []);
  return { rows, status, problem, streaming, start, stop, clear };
}

/** What outlives a stop, and belongs to one log. */
interface Kept {
  client: Client;
  jobRunId: string | undefined;
  keep: number;
  window: LogWindow;
  place: Pick<TailOptions, 'from' | 'after' | 'lines'>;
}
