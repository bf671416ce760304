/** `keruta/react`: a job run's log, or all logs, live. */
import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { createClient, type Client, type ClientOptions } from '../client.ts';
import { saveBlob } from '../save-file.ts';
import { LogStreamingService } from '../stratal.ts';
import { askToken } from '../token.ts';
import { countLines, shownRows, type Row, type RowFilter } from './log-window.ts';
import { LogRows } from './log-rows.tsx';
import { Toolbar } from './toolbar.tsx';
import { useLogStream } from './use-log-stream.ts';

export interface LogViewerProps {
  /** A pipeline's id, or that of a task without one. Without it, all logs that the token may read. */
  jobRunId?: string;
  /** Of the rows, as CSS has it. Default 500px. */
  height?: string;
  /** Keep the newest line in sight, unless somebody has scrolled away from it. Default true. */
  autoScroll?: boolean;
  /** Begin by itself. Default true. */
  autoStart?: boolean;
  /** How many lines are kept. Default 1,000. Of those that were there before, no more than 1,000 are shown. */
  maxLogs?: number;
  /** The relay's address. Default: where the page comes from. */
  baseUrl?: string;
  token?: ClientOptions['token'];
  /** In place of both: a client that other parts of the page use as well, so that they share its connection. */
  client?: Client;
}

/**
 * Shows the last lines and what follows, with filters by level, stream and text over those that are kept. Lines that are
 * missing are shown as such. Needs no style sheet.
 */
export function LogViewer(props: LogViewerProps): ReactNode {
  const { jobRunId, height = '500px', autoScroll = true, autoStart = true, maxLogs = 1000 } = props;
  const client = useClient(props);
  const { rows, ...stream } = useLogStream({ client, jobRunId, keep: maxLogs, autoStart });
  const [filter, setFilter] = useState<RowFilter>({ level: 'all', source: 'all', text: '' });
  const [failure, setFailure] = useState<string>();
  const shown = useMemo(() => shownRows(rows, filter), [rows, filter]);
  const download = (): void => {
    setFailure(undefined);
    save(client, jobRunId, shown).catch((error: unknown) => setFailure(`The log can't be saved: ${String(error)}`));
  };
  return (
    <section aria-label="Log viewer">
      <Toolbar
        title={jobRunId === undefined ? 'All logs' : `Job run ${jobRunId}`}
        status={stream.status}
        problem={failure ?? stream.problem}
        streaming={stream.streaming}
        filter={filter}
        shown={countLines(shown)}
        kept={countLines(rows)}
        onStart={stream.start}
        onStop={stream.stop}
        onClear={stream.clear}
        onDownload={download}
        onFilter={setFilter}
      />
      <LogRows
        rows={shown}
        height={height}
        autoScroll={autoScroll}
        empty={rows.length === 0 ? 'No logs yet' : 'No line matches the filters'}
      />
    </section>
  );
}

/** The client that is given, or one of this viewer's own, whose connection closes by itself when nothing is streamed. */
function useClient({ client, baseUrl, token }: LogViewerProps): Client {
  // A function may be another one each time the page is drawn, which is no reason to connect anew.
  const latest = useRef(token);
  useEffect(() => {
    latest.current = token;
  }, [token]);
  const wantsToken = token !== undefined;
  return useMemo(() => {
    if (client !== undefined) return client;
    const ask = async (rejected?: string): Promise<string> => (await askToken(latest.current, rejected)) ?? '';
    return createClient({ ...(baseUrl !== undefined && { url: baseUrl }), ...(wantsToken && { token: ask }) });
  }, [client, baseUrl, wantsToken]);
}

/** A job run's whole log as the relay has it; of all logs, what is shown. */
async function save({ url, options }: Client, jobRunId: string | undefined, shown: readonly Row[]): Promise<void> {
  if (jobRunId !== undefined) {
    await new LogStreamingService(url, options).downloadJobRunLogs(jobRunId);
    return;
  }
  const text = shown.map((row) =>
    row.kind === 'note'
      ? `--- ${row.text} ---\n`
      : `[${row.timestamp}] [${row.level.toLowerCase()}] [${row.source}] ${row.message}\n`,
  );
  saveBlob(new Blob(text, { type: 'text/plain' }), `logs-${new Date().toISOString().slice(0, 10)}.txt`);
}
