import type { CSSProperties, ReactNode } from 'react';
import type { Level, Source } from '../../shared/line.ts';
import type { RowFilter } from './log-window.ts';
import type { StreamStatus } from './use-log-stream.ts';

export interface ToolbarProps {
  title: string;
  status: StreamStatus;
  problem: string | undefined;
  streaming: boolean;
  filter: RowFilter;
  shown: number;
  kept: number;
  onStart: () => void;
  onStop: () => void;
  onClear: () => void;
  onDownload: () => void;
  onFilter: (filter: RowFilter) => void;
}

/** What stands above the rows. */
export function Toolbar(props: ToolbarProps): ReactNode {
  const { title, status, problem, streaming, filter, shown, kept, onFilter } = props;
  return (
    <div role="toolbar" aria-label="Log controls" style={BAR}>
      <strong style={TITLE}>{title}</strong>
      <span role="status" title={problem} style={{ ...CHIP, background: STATUS_COLORS[status] }}>
        {status}
      </span>
      <button type="button" onClick={streaming ? props.onStop : props.onStart}>
        {streaming ? 'Stop' : 'Start'}
      </button>
      <select
        aria-label="Level"
        value={filter.level}
        onChange={({ target }) => onFilter({ ...filter, level: target.value as RowFilter['level'] })}
      >
        <option value="all">All levels</option>
        {LEVELS.map((level) => (
          <option key={level} value={level}>
            {level}
          </option>
        ))}
      </select>
      <select
        aria-label="Stream"
        value={filter.source}
        onChange={({ target }) => onFilter({ ...filter, source: target.value as RowFilter['source'] })}
      >
        <option value="all">All streams</option>
        {STREAMS.map(({ source, word }) => (
          <option key={source} value={source}>
            {word}
          </option>
        ))}
      </select>
      <input
        type="search"
        aria-label="Text"
        placeholder="Text"
        value={filter.text}
        onChange={({ target }) => onFilter({ ...filter, text: target.value })}
      />
      <button type="button" onClick={props.onClear}>
        Clear
      </button>
      <button type="button" onClick={props.onDownload}>
        Download
      </button>
      <span aria-label="Lines shown and kept" style={COUNT}>
        {shown} / {kept} lines
      </span>
      {problem !== undefined && (
        <span role="alert" style={PROBLEM}>
          {problem}
        </span>
      )}
    </div>
  );
}

const LEVELS: readonly Level[] = ['ERROR', 'WARN', 'INFO', 'DEBUG'];
const STREAMS: readonly { source: Source; word: string }[] = [
  { source: 'stdout', word: 'stdout' },
  { source: 'stderr', word: 'stderr' },
  { source: 'agent', word: 'system' },
];
/** Each dark enough for white text. */
const STATUS_COLORS: Record<StreamStatus, string> = {
  stopped: '#616161',
  connecting: '#8d5a00',
  connected: '#2e7d32',
  failed: '#c62828',
};
const BAR: CSSProperties = {
  display: 'flex',
  flexWrap: 'wrap',
  alignItems: 'center',
  gap: 8,
  marginBottom: 8,
  fontFamily: 'system-ui, sans-serif',
  fontSize: 14,
};
const TITLE: CSSProperties = { marginRight: 4 };
const CHIP: CSSProperties = { color: '#ffffff', borderRadius: 10, padding: '1px 10px', fontSize: 12 };
const COUNT: CSSProperties = { marginLeft: 'auto', fontVariantNumeric: 'tabular-nums' };
const PROBLEM: CSSProperties = { flexBasis: '100%', color: '#c62828' };
