import { LEVELS, SOURCES, type Level, type Source } from '../shared/line.ts';
import { choice, integer, list, LEVEL_WORDS } from '../shared/options/kinds.ts';
import { ValueError, type Kind, type Raw } from '../shared/options/option.ts';
import { UsageError } from '../shared/options/usage-error.ts';

/** What `keruta-agent logs` shows, and how. */
export interface LogsFlags {
  /** Goes on until the task has ended. */
  follow?: boolean;
  /** `start`, `now`, a line number or a cursor. */
  from?: string;
  /** The last N lines, and what follows. */
  tail?: number;
  level?: Level[];
  source?: Source[];
  /** A substring. */
  grep?: string;
  /** A regular expression. */
  regex?: string;
  /** A time, or a duration before now. */
  since?: string;
  json?: boolean;
  timestamps?: boolean;
  /** Undefined: if the output is a terminal. */
  color?: boolean;
  /** Exit with the task's exit code. */
  exitCode?: boolean;
}

/** The flags of `logs` as commander gives them: text, and text by repetition. */
export type RawLogsFlags = Omit<LogsFlags, 'tail' | 'level' | 'source'> & {
  tail?: string;
  level?: string[];
  source?: string[];
};

/** Throws a UsageError that names the flag. */
export function readLogsFlags(raw: RawLogsFlags): LogsFlags {
  const { tail, level, source, ...rest } = raw;
  if (raw.from !== undefined && tail !== undefined) throw new UsageError('--from and --tail exclude each other');
  return {
    ...rest,
    ...(tail === undefined ? {} : { tail: readFlag('--tail', integer('100'), tail) }),
    ...(level === undefined ? {} : { level: readFlag('--level', LEVEL_LIST, level.join(',')) }),
    ...(source === undefined ? {} : { source: readFlag('--source', SOURCE_LIST, source.join(',')) }),
  };
}

const LEVEL_LIST = list(choice(LEVELS, LEVEL_WORDS), ',');
const SOURCE_LIST = list(choice(SOURCES), ',');

function readFlag<T>(flag: string, kind: Kind<T>, raw: Raw): T {
  try {
    return kind.read(raw);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new UsageError(`${flag}: ${JSON.stringify(raw)} ${error.message}; for example: ${kind.example}`);
  }
}
