import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeLines } from '../../../shared/columns.ts';
import { CHUNK_HEADER_BYTES } from '../../../shared/chunk.ts';
import { KIND_MORE, KIND_REST, kindOf } from '../../../shared/line.ts';
import { newUlid } from '../../../shared/ulid.ts';
import { Block } from '../../block.ts';
import { podLabels, podMetadataOf, type PodMetadata } from './pod-metadata.ts';
import { gapEntry, mapEntries, type LogEntry, type Worker } from './shape.ts';

const RUN = newUlid(0);
const T0 = Date.parse('2026-01-02T03:04:05.678Z');
const ENTRY: LogEntry = {
  workerId: 'w-1',
  taskId: 'build/1',
  timestamp: '2026-01-02T03:04:05.678Z',
  level: 'INFO',
  source: 'stdout',
  message: 'hello',
  metadata: {},
};

const LINES: [what: string, line: { text?: string; kind?: number; metadata?: string }, shown: Partial<LogEntry>][] = [
  ['a plain one', {}, {}],
  ['of another level and source', { kind: kindOf('stderr', 'ERROR') }, { level: 'ERROR', source: 'stderr' }],
  ['of the agent', { kind: kindOf('agent', 'DEBUG') }, { level: 'DEBUG', source: 'agent' }],
  [
    'with quotes, controls and wide characters',
    { text: '"\\\t\u001b[0m 한국어 🎉' },
    { message: '"\\\t\u001b[0m 한국어 🎉' },
  ],
  ['with line ends', { text: 'a\nb\r\nc' }, { message: 'a\nb\r\nc' }],
  ['empty', { text: '' }, { message: '' }],
  ['with metadata', { metadata: '{"a":"1","b":{"c":2}}' }, { metadata: { a: '1', b: { c: 2 } } }],
  ['with metadata that is none', { metadata: '[1]' }, { metadata: { unreadable: '[1]' } }],
  ['a piece that goes on', { kind: kindOf('stdout', 'INFO') | KIND_MORE }, { more: true, run: RUN }],
  ['the last piece', { kind: kindOf('stdout', 'INFO') | KIND_REST }, { rest: true, run: RUN }],
];

function blockOf(...lines: { text?: string; kind?: number; metadata?: string }[]): Block {
  const bytes = encodeLines(
    RUN,
    0,
    lines.map(({ text = 'hello', kind = kindOf('stdout', 'INFO'), metadata }) => ({
      time: T0,
      kind,
      text: Buffer.from(text),
      ...(metadata !== undefined && { metadata }),
    })),
  );
  return new Block({
    kind: 'chunk',
    ...{ task: 'build/1', run: RUN, firstLine: 5, position: 70, count: lines.length },
    header: bytes.subarray(0, CHUNK_HEADER_BYTES),
    body: bytes.subarray(CHUNK_HEADER_BYTES),
  });
}

function entriesOf(block: Block, worker: Worker | undefined): LogEntry[] {
  const lines = { block, first: 0, end: block.count, matches: undefined };
  return mapEntries(lines, { workerOf: (run) => (run === RUN ? worker : undefined), make: (entry) => entry });
}

describe('a line is shown', () => {
  for (const [what, line, shown] of LINES) {
    test(what, () => {
      assert.deepEqual(entriesOf(blockOf(line), { workerId: 'w-1', labels: {} }), [{ ...ENTRY, ...shown }]);
    });
  }
  test('with its members in the order of the contract', () => {
    const labels = { pod: 'p-1', namespace: 'ns', node: 'n-1', podCreatedAt: '2026-01-01T00:00:00Z', app: 'x' };
    const [entry] = entriesOf(blockOf({}), { workerId: 'w-1', labels });
    assert.equal(
      JSON.stringify(entry),
      '{"workerId":"w-1","taskId":"build/1","timestamp":"2026-01-02T03:04:05.678Z","level":"INFO","source":"stdout",' +
        '"message":"hello","metadata":{},"podMetadata":{"podName":"p-1","namespace":"ns","nodeName":"n-1",' +
        '"createdAt":"2026-01-01T00:00:00Z","labels":{"app":"x"}}}',
    );
  });
  test('of a run that nobody knows any more', () => {
    assert.deepEqual(entriesOf(blockOf({}), undefined), [{ ...ENTRY, workerId: '' }]);
  });
});

test('only the lines that match are shown, each with its place', () => {
  const lines = { block: blockOf({ text: 'a' }, { text: 'b' }, { text: 'c' }), first: 0, end: 3 };
  const made = (matches: Uint32Array | undefined): string[] =>
    mapEntries(
      { ...lines, matches },
      { workerOf: () => undefined, make: ({ message }, index) => `${index}${message}` },
    );
  assert.deepEqual(made(undefined), ['0a', '1b', '2c']);
  assert.deepEqual(made(Uint32Array.of(0, 2)), ['0a', '2c']);
  assert.deepEqual(
    mapEntries({ ...lines, first: 1, matches: undefined }, { workerOf: () => undefined, make: (_, i) => i }),
    [1, 2],
  );
});

describe('lines that are missing are shown as an entry', () => {
  for (const [toLine, message] of [
    [7, '1 line is missing here (dropped)'],
    [9, '3 lines are missing here (dropped)'],
  ] as const) {
    test(message, () => {
      assert.deepEqual(gapEntry({ taskId: 't', time: T0, fromLine: 7, toLine, reason: 'dropped' }), {
        ...{ workerId: '', taskId: 't', timestamp: ENTRY.timestamp, level: 'WARN', source: 'agent', message },
        metadata: { gap: { fromLine: 7, toLine, reason: 'dropped' } },
      });
    });
  }
});

describe('a pod is known by the labels of a run', () => {
  const rows: [labels: Record<string, string>, pod: PodMetadata | undefined][] = [
    [{}, undefined],
    [{ app: 'x', podCreatedAt: 'then' }, undefined],
    [{ pod: 'p' }, { podName: 'p', namespace: '', nodeName: '', createdAt: '', labels: {} }],
    [
      { node: 'n', app: 'x' },
      { podName: '', namespace: '', nodeName: 'n', createdAt: '', labels: { app: 'x' } },
    ],
    [
      { pod: 'p', namespace: 'ns', node: 'n', podCreatedAt: 'then', a: '1', b: '2' },
      { podName: 'p', namespace: 'ns', nodeName: 'n', createdAt: 'then', labels: { a: '1', b: '2' } },
    ],
  ];
  for (const [labels, pod] of rows) {
    test(JSON.stringify(labels), () => {
      assert.deepEqual(podMetadataOf(labels), pod);
      if (pod !== undefined) assert.deepEqual(podLabels(pod), labels);
    });
  }
});
