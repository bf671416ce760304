import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHUNK_HEADER_BYTES } from '../../../shared/chunk.ts';
import { encodeLines, type LineInput } from '../../../shared/columns.ts';
import { KIND_CR, KIND_MORE, KIND_REST, kindOf } from '../../../shared/line.ts';
import { Block } from '../../block.ts';
import type { MergedGap, MergedLines } from '../../merged/merged-event.ts';
import type { TaskFacts } from '../../merged/task-facts.ts';
import { connectedMessage, downloadLines, eachLog, eachMessage, gapLog, gapMessage, logType } from './shape.ts';

const TIME = Date.parse('2026-01-02T03:04:05.678Z');
const STAMP = '2026-01-02T03:04:05.678Z';

const OF_PIPELINE: TaskFacts = { task: 'build', name: 'Build "it"', pipelineId: 'p1', group: 'p1', labels: {} };
const ALONE: TaskFacts = { task: 'solo', name: undefined, pipelineId: undefined, group: 'solo', labels: {} };
const OF_JOB: TaskFacts = { task: 'p1', name: undefined, pipelineId: 'p1', group: 'p1', labels: {} };
const OF_RELAY: TaskFacts = { ...ALONE, task: 'keruta-relay', group: 'keruta-relay' };

type TextLine = Partial<Omit<LineInput, 'text'>> & { text: string | Buffer };

/** Lines at positions from 100 on, all of them or the `matches`. */
function linesOf(task: TaskFacts, lines: readonly TextLine[], matches?: number[]): MergedLines {
  const kind = kindOf('stdout', 'INFO');
  const inputs = lines.map(({ text, ...line }) => ({ time: TIME, kind, ...line, text: Buffer.from(text) }));
  const bytes = encodeLines('01ARZ3NDEKTSV4RRFFQ69G5FAV', 0, inputs);
  const [header, body] = [bytes.subarray(0, CHUNK_HEADER_BYTES), bytes.subarray(CHUNK_HEADER_BYTES)];
  const place = { task: task.task, run: '01ARZ3NDEKTSV4RRFFQ69G5FAV', firstLine: 1, position: 100 };
  const block = new Block({ kind: 'chunk', ...place, count: lines.length, header, body });
  return { type: 'lines', task, block, first: 0, end: lines.length, matches: matches && Uint32Array.from(matches) };
}

function messagesOf(event: MergedLines): string[] {
  const messages: string[] = [];
  eachMessage(event, (json) => messages.push(json));
  return messages;
}

function logsOf(event: MergedLines): string[] {
  const logs: string[] = [];
  eachLog(event, (json) => logs.push(json));
  return logs;
}

const MESSAGES: { what: string; task: TaskFacts; line: TextLine; json: string }[] = [
  {
    what: "a task's line has all members, in order",
    task: OF_PIPELINE,
    line: { text: 'hi', metadata: '{"k":[1]}' },
    json: `{"type":"task","job_run_id":"p1","task_run_id":"build","timestamp":"${STAMP}","level":"info","stream":"stdout","message":"hi","task_name":"Build \\"it\\"","metadata":{"k":[1]}}`,
  },
  {
    what: "a line of the job's own has no task",
    task: OF_JOB,
    line: { text: 'hi' },
    json: `{"type":"job","job_run_id":"p1","timestamp":"${STAMP}","level":"info","stream":"stdout","message":"hi"}`,
  },
  {
    what: 'a task without a pipeline is a job run',
    task: ALONE,
    line: { text: 'hi', kind: kindOf('stderr', 'ERROR') },
    json: `{"type":"job","job_run_id":"solo","timestamp":"${STAMP}","level":"error","stream":"stderr","message":"hi"}`,
  },
  {
    what: "what the relay says is the system's, and of no job",
    task: OF_RELAY,
    line: { text: 'up', kind: kindOf('agent', 'WARN') },
    json: `{"type":"system","job_run_id":"","timestamp":"${STAMP}","level":"warn","stream":"system","message":"up"}`,
  },
  {
    what: 'text of any bytes is one JSON text',
    task: ALONE,
    line: {
      text: Buffer.concat([Buffer.from('a"\\\u0000\u2028<é\n'), Buffer.from([0xff])]),
      kind: kindOf('stdout', 'DEBUG'),
    },
    json: `{"type":"job","job_run_id":"solo","timestamp":"${STAMP}","level":"debug","stream":"stdout","message":"a\\"\\\\\\u0000\u2028<é\\n\ufffd"}`,
  },
  {
    what: 'metadata that is no object is shown as it came',
    task: ALONE,
    line: { text: '', metadata: '[1' },
    json: `{"type":"job","job_run_id":"solo","timestamp":"${STAMP}","level":"info","stream":"stdout","message":"","metadata":{"unreadable":"[1"}}`,
  },
  {
    what: 'a piece of a line is a message of its own',
    task: ALONE,
    line: { text: 'half', kind: kindOf('stdout', 'INFO') | KIND_MORE | KIND_REST | KIND_CR },
    json: `{"type":"job","job_run_id":"solo","timestamp":"${STAMP}","level":"info","stream":"stdout","message":"half"}`,
  },
];
describe('a log message', () => {
  for (const { what, task, line, json } of MESSAGES) {
    test(what, () => {
      assert.deepEqual(messagesOf(linesOf(task, [line])), [json]);
      JSON.parse(json);
    });
  }
});

test('messages come in order with their positions, and only those that match', () => {
  const seen: [string, number][] = [];
  const lines = ['a', 'b', 'c', 'd'].map((text, index) => ({ text, time: TIME + index }));
  const take = (json: string, position: number): void => {
    const { message, timestamp } = JSON.parse(json) as { message: string; timestamp: string };
    seen.push([`${timestamp.slice(-4)} ${message}`, position]);
  };
  eachMessage(linesOf(ALONE, lines), take);
  eachMessage({ ...linesOf(ALONE, lines), first: 1, end: 3 }, take);
  eachMessage(linesOf(ALONE, lines, [3, 1]), take);
  assert.deepEqual(seen, [
    ...[
      ['678Z a', 100],
      ['679Z b', 101],
      ['680Z c', 102],
      ['681Z d', 103],
    ],
    ...[
      ['679Z b', 101],
      ['680Z c', 102],
    ],
    ...[
      ['681Z d', 103],
      ['679Z b', 101],
    ],
  ]);
});

test('REST shows every member of every log, null where there is none', () => {
  const line = { text: 'x', metadata: '{"k":1}' };
  const rest = `"timestamp":"${STAMP}","level":"info","stream":"stdout","message":"x","metadata":{"k":1},"created_at":"${STAMP}"}`;
  assert.deepEqual(logsOf(linesOf(OF_PIPELINE, [line])), [
    `{"id":100,"type":"task","job_run_id":"p1","task_run_id":"build",${rest}`,
  ]);
  assert.deepEqual(logsOf(linesOf(OF_JOB, [line])), [
    `{"id":100,"type":"job","job_run_id":"p1","task_run_id":null,${rest}`,
  ]);
  assert.deepEqual(logsOf(linesOf(OF_RELAY, [{ text: 'x' }])), [
    `{"id":100,"type":"system","job_run_id":null,"task_run_id":null,${rest.replace('{"k":1}', 'null')}`,
  ]);
});

const PLACE = { fromPosition: 10, toPosition: 14 };
const GAPS: { what: string; gap: MergedGap; message: string; json: object }[] = [
  {
    what: "of a task's lines",
    gap: { type: 'gap', task: OF_PIPELINE, fromLine: 3, toLine: 7, ...PLACE, reason: 'dropped' },
    message: '[gap: lines 3 to 7 missing: dropped]',
    json: { reason: 'dropped', from_line: 3, to_line: 7, from_id: 10, to_id: 14 },
  },
  {
    what: 'of lines that were trimmed, whose ever they were',
    gap: { type: 'gap', ...PLACE, reason: 'trimmed' },
    message: '[gap: lines missing: trimmed]',
    json: { reason: 'trimmed', from_id: 10, to_id: 14 },
  },
  {
    what: "of a task's lines up to one",
    gap: { type: 'gap', task: ALONE, toLine: 7, ...PLACE, reason: 'trimmed' },
    message: '[gap: lines up to 7 missing: trimmed]',
    json: { reason: 'trimmed', to_line: 7, from_id: 10, to_id: 14 },
  },
];
describe('missing lines are a warning', () => {
  for (const { what, gap, message, json } of GAPS) {
    test(what, () => {
      const type = gap.task === undefined ? 'system' : logType(gap.task);
      const words = { level: 'warn', stream: 'system', message };
      const ids = { job_run_id: gap.task?.group ?? '', ...(type === 'task' && { task_run_id: gap.task?.task }) };
      const name = gap.task?.name === undefined ? {} : { task_name: gap.task.name };
      const expected = { type, ...ids, timestamp: STAMP, ...words, ...name, metadata: { gap: json } };
      assert.equal(gapMessage(gap, TIME), JSON.stringify(expected));
      assert.deepEqual(JSON.parse(gapLog(gap, TIME)), {
        id: 10,
        type,
        job_run_id: gap.task?.group ?? null,
        task_run_id: type === 'task' ? gap.task?.task : null,
        timestamp: STAMP,
        ...words,
        metadata: { gap: json },
        created_at: STAMP,
      });
    });
  }
});

test('a connection is confirmed in the shape of a log', () => {
  const rest = `"timestamp":"${STAMP}","level":"info","stream":"system","message":"Connected to log stream"}`;
  assert.equal(connectedMessage('j', TIME), `{"type":"","job_run_id":"j",${rest}`);
  assert.equal(connectedMessage(undefined, TIME), `{"type":"","job_run_id":"",${rest}`);
});

test('a download has a line for each log; one of several lines goes on behind tabs', () => {
  const lines = [{ text: 'one' }, { text: 'two\nthree', kind: kindOf('agent', 'ERROR') }];
  assert.equal(
    downloadLines(linesOf(OF_PIPELINE, lines)),
    '[2026-01-02 03:04:05.678] [task] [info] [stdout] one\n' +
      '[2026-01-02 03:04:05.678] [task] [error] [system] two\n\tthree\n',
  );
});
