import type { LineInput } from '../../../../shared/columns.ts';
import { kindOf } from '../../../../shared/line.ts';
import { knownLevel, knownSource, knownTime, MAX_METADATA_BYTES } from '../../../senders/log-entry.ts';
import { FOREIGN_SOURCE } from '../shape.ts';
import type { LogEntryMessage } from './messages.ts';

/**
 * The line of an entry. What is missing becomes now (`now`, ms since 1970), INFO and stdout, as does what is none of
 * ours; the sender's own word for it is then kept in the metadata, unless the sender has put something else there.
 * Answers a text that says why it can never be stored, if that is so.
 */
export function lineOfEntry(entry: LogEntryMessage, now: number): LineInput | string {
  const foreign: Record<string, string> = {};
  const understood = <T>(name: string, word: string, find: (word: string) => T | undefined, otherwise: T): T => {
    const found = word === '' ? otherwise : find(word);
    if (found === undefined) foreign[name] = word;
    return found ?? otherwise;
  };
  const level = understood('level', entry.level, knownLevel, 'INFO');
  const source = understood(FOREIGN_SOURCE, entry.source, knownSource, 'stdout');
  const time = understood('timestamp', entry.timestamp, knownTime, now);
  const line = { time, kind: kindOf(source, level), text: Buffer.from(entry.message) };
  const metadata = JSON.stringify({ ...foreign, ...entry.metadata });
  if (metadata === '{}') return line;
  const bytes = Buffer.byteLength(metadata);
  if (bytes > MAX_METADATA_BYTES) return `The metadata has ${bytes} bytes; ${MAX_METADATA_BYTES} are allowed`;
  return { ...line, metadata };
}

/** The pipeline that a worker names among its labels or metadata, if it does. */
export function pipelineOf(given: Readonly<Record<string, string | undefined>>): string | undefined {
  const id = PIPELINE_KEYS.map((key) => given[key]).find((value) => value !== undefined && value !== '');
  return id !== undefined && id.length <= MAX_PIPELINE_CHARACTERS ? id : undefined;
}

const PIPELINE_KEYS = ['pipeline_id', 'pipelineId', 'pipeline-id'];
/** As agents' pipelines may have. */
const MAX_PIPELINE_CHARACTERS = 1024;
