import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHUNK_HEADER_BYTES } from '../../../shared/chunk.ts';
import { encodeLines } from '../../../shared/columns.ts';
import { Block } from '../../block.ts';
import type { MergedEvent, MergedLines } from '../../merged/merged-event.ts';
import { render, type Style } from './render.ts';

const RUN = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const bytes = encodeLines(RUN, 0, [
  { time: 0, kind: 0, text: Buffer.from('x') },
  { time: 0, kind: 0, text: Buffer.from('y') },
]);
const [header, body] = [bytes.subarray(0, CHUNK_HEADER_BYTES), bytes.subarray(CHUNK_HEADER_BYTES)];
const block = new Block({ kind: 'chunk', task: 't', run: RUN, firstLine: 1, position: 7, count: 2, header, body });
const facts = { task: 't', name: undefined, pipelineId: undefined, group: 't', labels: {} };
const lines: MergedLines = { type: 'lines', task: facts, block, first: 0, end: 2, matches: undefined };
const style: Style = { kind: 'websocket', epoch: 'e', cursors: (position) => `c${position}`, now: () => 0 };

function rendered(events: MergedEvent[], as: Style): readonly Buffer[] {
  return render({ events, nextPosition: 0 }, as);
}

test('what all streams of a kind are sent is written once', () => {
  assert.equal(rendered([lines], style)[0], rendered([lines], { ...style })[0]);
});

const OTHERS: { what: string; event: MergedLines; style: Style }[] = [
  { what: 'another kind of stream', event: lines, style: { ...style, kind: 'sse' } },
  { what: 'messages with places', event: lines, style: { ...style, kind: 'places' } },
  { what: 'another epoch', event: lines, style: { ...style, epoch: 'f' } },
  { what: 'fewer lines', event: { ...lines, end: 1 }, style },
  { what: 'another name of the task', event: { ...lines, task: { ...facts, name: 'T' } }, style },
  { what: 'another group of the task', event: { ...lines, task: { ...facts, group: 'g' } }, style },
];
for (const { what, event, style: other } of OTHERS) {
  test(`${what} is written anew`, () => assert.notEqual(rendered([event], other)[0], rendered([lines], style)[0]));
}

test('a place is the one behind the line', () => {
  const text = rendered([lines], { ...style, kind: 'sse' })[0].toString();
  assert.deepEqual(text.match(/^id: .*$/gm), ['id: c8', 'id: c9']);
  const gap = { type: 'gap', fromPosition: 9, toPosition: 12, reason: 'trimmed' } as const;
  assert.match(rendered([gap], { ...style, kind: 'sse' })[0].toString(), /^id: c13$/m);
  assert.match(rendered([gap], { ...style, kind: 'places' })[0].toString(), /,"cursor":"c13"\}\n$/);
});

test("a job's end is no word of Stratal's", () => {
  const pipeline = { pipelineId: 't' } as never;
  assert.deepEqual(rendered([{ type: 'end', pipeline }], style), []);
});
