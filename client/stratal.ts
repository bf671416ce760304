/** `keruta/client/stratal`: Stratal's client, over the tails of this package, so that it resumes without a gap. */
import { createClient, type Client, type ClientOptions } from './client.ts';
import { requestBlob, requestJson } from './request.ts';
import { saveBlob, saveFile } from './save-file.ts';
import { TailStreamer, type LogStreamer, type LogStreamOptions } from './stratal-streamer.ts';

export type { LogMessage } from './stratal-message.ts';
export type { LogStreamer, LogStreamOptions } from './stratal-streamer.ts';

/** What streams do unless they are told otherwise, and how the relay is reached. */
export interface LogStreamingServiceOptions extends LogStreamOptions, Omit<ClientOptions, 'url'> {}

/** A log as lists show it. Ids and metadata are null where there are none. */
export interface StoredLog {
  id: number;
  type: 'system' | 'job' | 'task';
  job_run_id: string | null;
  task_run_id: string | null;
  timestamp: string;
  level: 'info' | 'error' | 'warn' | 'debug';
  stream: 'stdout' | 'stderr' | 'system';
  message: string;
  metadata: Record<string, unknown> | null;
  created_at: string;
}

export interface Connections {
  websocket: number;
  sse: number;
}

export interface StreamingStatus {
  status: string;
  connections: { global: Connections; jobs: Record<string, Connections> };
}

/** `total` only of a job run's. */
export interface LogPage {
  logs: StoredLog[];
  pagination: { total?: number; limit: number; offset: number; count: number };
}

/**
 * Logs of job runs (pipelines, or tasks without one) from a relay. Its requests reject with a ClientError, a relay's
 * refusal among them; streams say what is wrong by `onError`.
 */
export class LogStreamingService {
  readonly #client: Client;
  readonly #defaults: LogStreamOptions;
  readonly #streamers = new Map<string, LogStreamer>();

  /** `baseUrl`: the relay's, with or without `/api/v1`; without it, where the page comes from. */
  constructor(baseUrl?: string, options: LogStreamingServiceOptions = {}) {
    const { backoff = BACKOFF, ...rest } = options;
    this.#defaults = rest;
    this.#client = createClient({ ...rest, backoff, ...(baseUrl !== undefined && baseUrl !== '' && { url: baseUrl }) });
  }

  /** Streams a job run's logs from now on. A stream of the same job run that is there ends. */
  streamJobRunLogs(jobRunId: string, options: LogStreamOptions = {}): LogStreamer {
    return this.#stream(`job-${jobRunId}`, new TailStreamer(this.#client, { pipeline: jobRunId }, this.#with(options)));
  }

  /** Streams all logs from now on. A stream of all that is there ends. */
  streamAllLogs(options: LogStreamOptions = {}): LogStreamer {
    return this.#stream('global', new TailStreamer(this.#client, { all: true }, this.#with(options)));
  }

  /** Ends a stream: that of `job-` and a job run's id, or `global`. */
  stopStreaming(key: string): void {
    this.#streamers.get(key)?.disconnect();
    this.#streamers.delete(key);
  }

  stopAllStreaming(): void {
    for (const key of [...this.#streamers.keys()]) this.stopStreaming(key);
  }

  getStreamingStatus(): Promise<StreamingStatus> {
    return requestJson(this.#client, ['logs', 'stream', 'status']);
  }

  /** The oldest first. `limit` is at most 1,000. */
  getJobRunLogs(jobRunId: string, limit = 100, offset = 0): Promise<LogPage> {
    return requestJson(this.#client, ['logs', 'job-runs', jobRunId], { query: { limit, offset } });
  }

  /** The oldest first. */
  getTaskRunLogs(taskRunId: string): Promise<Pick<LogPage, 'logs'>> {
    return requestJson(this.#client, ['logs', 'task-runs', taskRunId]);
  }

  /** The newest first. */
  getSystemLogs(limit = 100, offset = 0): Promise<LogPage> {
    return requestJson(this.#client, ['logs', 'system'], { query: { limit, offset } });
  }

  /** The newest first. */
  getLogsByType(type: 'system' | 'job' | 'task', limit = 100, offset = 0): Promise<LogPage> {
    return requestJson(this.#client, ['logs', 'type', type], { query: { limit, offset } });
  }

  /**
   * Has the browser save a job run's logs as a file: all, or those of a day (`YYYY-MM-DD`, UTC). Where a token is needed
   * the file goes through the page's memory.
   */
  async downloadJobRunLogs(jobRunId: string, date?: string): Promise<void> {
    const path = ['logs', 'job-runs', jobRunId, 'download'];
    const query = { date };
    const name = `${jobRunId}-${date ?? 'latest'}.txt`;
    if (this.#client.options.token === undefined) {
      saveFile(this.#client.urlOf(path, query), name);
      return;
    }
    saveBlob(await requestBlob(this.#client, path, { query }), name);
  }

  #with(options: LogStreamOptions): LogStreamOptions {
    return { ...this.#defaults, ...options };
  }

  #stream(key: string, streamer: LogStreamer): LogStreamer {
    this.stopStreaming(key);
    this.#streamers.set(key, streamer);
    streamer.connect();
    return streamer;
  }
}

/** Five attempts that fail take half a minute, as its users expect. */
const BACKOFF = { minMs: 2000, maxMs: 30_000 };
