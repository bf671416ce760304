import type { MergedEvent } from './events.ts';

/** A log as Stratal's clients know it. */
export interface LogMessage {
  type: 'system' | 'job' | 'task';
  /** Empty for what the relay says itself. */
  job_run_id: string;
  task_run_id?: string;
  /** RFC 3339 */
  timestamp: string;
  level: 'info' | 'error' | 'warn' | 'debug';
  stream: 'stdout' | 'stderr' | 'system';
  message: string;
  task_name?: string;
  metadata?: Record<string, unknown>;
}

/**
 * The log message for an event of a merged tail: of a line, and of lines that are missing or may be, which nobody shall
 * take for there having been none. Undefined for all else. `now` is ms since 1970.
 */
export function stratalMessage(event: MergedEvent, now: number): LogMessage | undefined {
  switch (event.type) {
    case 'log':
      return {
        ...idsOf(event),
        timestamp: event.timestamp,
        level: LEVELS[event.level],
        stream: event.source === 'agent' ? 'system' : event.source,
        message: event.message,
        ...(event.taskName !== undefined && { task_name: event.taskName }),
        ...(Object.keys(event.metadata).length > 0 && { metadata: event.metadata }),
      };
    case 'gap': {
      const { lines, reason, fromLine, toLine } = event;
      const message = `${lines === 1 ? '1 line is' : `${lines} lines are`} missing (${reason})`;
      return notice(idsOf(event), {
        message,
        now,
        metadata: { gap: { lines, reason, from_line: fromLine, to_line: toLine } },
      });
    }
    case 'reset': {
      const message = `The relay's store was replaced; lines may be missing or come again: ${event.message}`;
      return notice({ type: 'system', job_run_id: '' }, { message, now, metadata: { reset: { from: event.from } } });
    }
    default:
      return undefined;
  }
}

type Ids = Pick<LogMessage, 'type' | 'job_run_id' | 'task_run_id'>;

/** Lines of the task that bears the job run's id are the job's own. */
function idsOf({ taskId, pipelineId = taskId }: { taskId?: string; pipelineId?: string }): Ids {
  if (taskId === undefined || pipelineId === undefined || taskId === SYSTEM_TASK)
    return { type: 'system', job_run_id: '' };
  if (taskId === pipelineId) return { type: 'job', job_run_id: pipelineId };
  return { type: 'task', job_run_id: pipelineId, task_run_id: taskId };
}

function notice(ids: Ids, { message, now, metadata }: { message: string; now: number; metadata: object }): LogMessage {
  const timestamp = new Date(now).toISOString();
  return { ...ids, timestamp, level: 'warn', stream: 'system', message, metadata: { ...metadata } };
}

const LEVELS = { DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
/** The task of the relay's own events. */
const SYSTEM_TASK = 'keruta-relay';
