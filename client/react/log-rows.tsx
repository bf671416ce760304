import { memo, useEffect, useRef, type CSSProperties, type ReactNode } from 'react';
import type { Level, Source } from '../../shared/line.ts';
import type { Row } from './log-window.ts';

export interface LogRowsProps {
  rows: readonly Row[];
  height: string;
  /** Keep the newest row in sight, unless somebody has scrolled away from it. */
  autoScroll: boolean;
  /** What stands there when there is no row. */
  empty: string;
}

/** The rows, as text: nothing of a log ever becomes markup. */
export function LogRows({ rows, height, autoScroll, empty }: LogRowsProps): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const { current } = box;
    if (autoScroll && atEnd.current && current !== null) current.scrollTop = current.scrollHeight;
  }, [rows, autoScroll]);
  const onScroll = (): void => {
    const { current } = box;
    if (current === null) return;
    atEnd.current = current.scrollHeight - current.scrollTop - current.clientHeight < END_PIXELS;
  };
  return (
    <div
      ref={box}
      role="log"
      aria-label="Log"
      aria-live="off"
      tabIndex={0}
      onScroll={onScroll}
      style={{ ...BOX, height }}
    >
      {rows.length === 0 ? <div style={EMPTY}>{empty}</div> : rows.map((row) => <LogRow key={row.key} row={row} />)}
    </div>
  );
}

const LogRow = memo(function LogRow({ row }: { row: Row }): ReactNode {
  if (row.kind === 'note') return <div style={NOTE}>— {row.text} —</div>;
  const { timestamp, level, source, task, message } = row;
  return (
    <div style={LINE}>
      <time dateTime={timestamp} title={timestamp} style={DIM}>
        {timestamp.slice(11, 23)}
      </time>{' '}
      <span style={{ color: LEVEL_COLORS[level], fontWeight: 'bold' }}>{level.padEnd(5)}</span>{' '}
      <span style={{ color: SOURCE_COLORS[source] }}>{WORDS[source].padEnd(6)}</span> <span style={TASK}>{task}</span>{' '}
      <span>{message}</span>
    </div>
  );
});

/** The agent's own lines are the system's, in Stratal's words. */
const WORDS: Record<Source, string> = { stdout: 'stdout', stderr: 'stderr', agent: 'system' };
/** On the dark ground each has a contrast of 4.5 or more. */
const LEVEL_COLORS: Record<Level, string> = { DEBUG: '#9e9e9e', INFO: '#64b5f6', WARN: '#ffb74d', ERROR: '#ff8a80' };
const SOURCE_COLORS: Record<Source, string> = { stdout: '#81c784', stderr: '#ff8a80', agent: '#ce93d8' };

const BOX: CSSProperties = {
  overflow: 'auto',
  padding: 8,
  background: '#1e1e1e',
  color: '#ffffff',
  border: '1px solid #555',
  borderRadius: 4,
  fontFamily: 'ui-monospace, Menlo, Consolas, monospace',
  fontSize: 13,
  lineHeight: 1.45,
  boxSizing: 'border-box',
};
const LINE: CSSProperties = { whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' };
const NOTE: CSSProperties = { ...LINE, color: '#ffd54f', fontStyle: 'italic' };
const DIM: CSSProperties = { color: '#a0a0a0' };
const TASK: CSSProperties = { color: '#fff176' };
const EMPTY: CSSProperties = { display: 'grid', placeItems: 'center', height: '100%', color: '#bdbdbd' };
/** So near to the end is at the end. */
const END_PIXELS = 24;
