import type { GapReason } from '../shared/gap-reasons.ts';
import type { Level, Source } from '../shared/line.ts';

/** What the relay tells over HTTP. Times are ISO 8601 in UTC with milliseconds, sizes bytes. */

/** A page of a list. `next` is null on the last one. */
export interface Page<T> {
  content: T[];
  /** How many were asked for. */
  size: number;
  next: string | null;
}

export interface Line {
  /** Its cursor. */
  id: string;
  taskId: string;
  timestamp: string;
  source: Source;
  level: Level;
  message: string;
  lineNumber: number;
  metadata: Record<string, unknown>;
  /** It only stands around a line that matches. */
  context?: true;
  /** Of a piece of a longer line: it goes on in, or continues, another one of the same run and source. */
  more?: true;
  rest?: true;
  run?: string;
}

/** Lines that are missing: line numbers, both included. */
export interface Gap {
  fromLine: number;
  toLine: number;
  reason: GapReason;
}

export interface LinePage extends Page<Line> {
  /** Those among and around the lines of this page. */
  gaps?: Gap[];
  /** How many more there are. */
  gapsLeftOut?: number;
}

/** How many lines there are of what kind. */
export interface LineCounts {
  logCounts: Record<Source, number>;
  levelCounts: Record<Level, number>;
  /** null without lines */
  timeRange: { start: string; end: string } | null;
}

export interface Stats extends LineCounts {
  taskId: string;
  totalLogs: number;
  /** Lines that gaps stand for. */
  missing: number;
  lastUpdated: string;
}

export type RunStatus = 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost';
export type TaskStatus = RunStatus | 'pending';

export interface Task extends LineCounts {
  taskId: string;
  name: string | null;
  status: TaskStatus;
  pipelineId: string | null;
  /** Of the newest run. */
  labels: Record<string, string>;
  runCount: number;
  openRuns: number;
  /** Of the newest run, when it has ended. */
  exitCode: number | null;
  signal: string | null;
  lines: number;
  missing: number;
  firstLine: number;
  /** 0 before the first line. */
  lastLine: number;
  bytes: number;
  storedBytes: number;
  /** What was said of the task last. */
  message: string | null;
  /** 0 to 100 */
  progress: number | null;
  errorCode: string | null;
  /** Kept by retention. */
  pinned: boolean;
  createdAt: string;
  updatedAt: string;
}

export interface TaskWithRuns extends Task {
  runs: Run[];
}

export interface Run {
  /** A ULID. */
  run: string;
  status: RunStatus;
  pipelineId: string | null;
  workerId: string;
  labels: Record<string, string>;
  command: string | null;
  agentVersion: string;
  startedAt: string;
  endedAt: string | null;
  lastSeen: string;
  exitCode: number | null;
  signal: string | null;
  reason: string | null;
  /** Whether counts and digest agreed at the end; null before it. */
  verified: boolean | null;
  lines: number;
  bytes: number;
  missing: number;
  /** Lines that the agent has and the relay has not, as far as is known. */
  behind: number;
}

/** Times and counts are those of the tasks that the token may read. */
export interface Pipeline {
  pipelineId: string;
  /** `running` while a task is, `failed` if one did. */
  status: TaskStatus;
  /** Percent; each task counts the same. */
  progress: number;
  taskCount: number;
  statusCounts: Record<TaskStatus, number>;
  runCount: number;
  openRuns: number;
  lines: number;
  missing: number;
  bytes: number;
  createdAt: string;
  updatedAt: string;
}

export interface PipelineWithTasks extends Pipeline {
  startedAt: string | null;
  /** null while a run is open */
  endedAt: string | null;
  /** Of the first task that failed or is lost. */
  errorMessage: string | null;
  /** The oldest first; of very many the newest. */
  tasks: Task[];
  /** How many older ones there are. */
  tasksLeftOut: number;
}
