import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge, MIN_JUDGED_SAMPLES, MIN_JUDGED_SECONDS } from './judge.ts';
import { COLUMNS, type Sample } from './sample.ts';

const SECONDS = 10;
const SAMPLES = 90;
const FLAT = Object.fromEntries(COLUMNS.map(({ key }) => [key, 100])) as unknown as Sample;

/** A soak of fifteen minutes in which one column goes as `value` says, by the sample's place from 0 to 1. */
function soak(key: keyof Sample, value: (place: number, i: number) => number, samples = SAMPLES): Sample[] {
  return Array.from({ length: samples }, (_, i) => ({ ...FLAT, at: i * SECONDS, [key]: value(i / samples, i) }));
}

/** The same "noise" every time, between -1 and 1. */
const noise = (i: number): number => Math.sin(i * 12.9898) * Math.cos(i * 78.233);

const grownIn = (samples: Sample[]): string[] =>
  (judge(samples) ?? assert.fail('it was not judged')).filter(({ bad }) => bad).map(({ name }) => name);

describe('a soak in which something grew', () => {
  const rows: [name: string, samples: Sample[], grown: string][] = [
    ['memory, slowly', soak('relayRss', (place) => 200 + 120 * place), "the relay's memory"],
    ['memory, under noise', soak('relayRss', (p, i) => 200 + 120 * p + 30 * noise(i)), "the relay's memory"],
    ['descriptors', soak('relayDescriptors', (place) => 50 + 60 * place), "the relay's descriptors"],
    ['a thread now and then', soak('relayThreads', (place) => 11 + Math.floor(6 * place)), "the relay's threads"],
    ["an agent's memory", soak('agentRss', (place) => 90 + 60 * place), "an agent's memory"],
    ['the write-ahead log', soak('wal', (place) => 4 + 200 * place), 'the write-ahead log'],
    ['latency, mostly unknown', soak('latencyP50', (_, i) => (i % 3 === 0 ? 5 : NaN)), 'the latency (p50)'],
    ['latency', soak('latencyP50', (place) => 5 + 80 * place), 'the latency (p50)'],
  ];
  for (const [name, samples, grown] of rows) test(name, () => assert.deepEqual(grownIn(samples), [grown]));
});

describe('a soak in which nothing grew', () => {
  const rows: [name: string, samples: Sample[]][] = [
    ['all is flat', soak('relayRss', () => 200)],
    ['noise', soak('relayRss', (_, i) => 200 + 80 * noise(i))],
    ['growth in the warm-up, then none', soak('relayRss', (place) => 200 + 300 * Math.min(place, 0.3))],
    ['one sample far above', soak('latencyP99', (_, i) => (i === SAMPLES - 2 ? 90_000 : 20))],
    ['a wave', soak('relayHeap', (place) => 100 + 60 * Math.sin(place * 40))],
    ['one sample unknown', soak('latencyP50', (_, i) => (i === SAMPLES - 2 ? NaN : 5))],
    ['a store, which has to grow', soak('store', (place) => 1000 * place)],
    ['it got less', soak('relayRss', (place) => 400 - 200 * place)],
  ];
  for (const [name, samples] of rows) test(name, () => assert.deepEqual(grownIn(samples), []));
});

test('too little is not judged', () => {
  const few = soak('relayRss', (place) => 200 + 500 * place, MIN_JUDGED_SAMPLES);
  assert.equal(judge(few), undefined);
  const short = soak('relayRss', () => 1).map((sample, i) => ({ ...sample, at: (i * MIN_JUDGED_SECONDS) / SAMPLES }));
  assert.equal(judge(short), undefined);
});

test('what grew is said in a sentence with figures', () => {
  const [found] = (judge(soak('relayRss', (place) => 200 + 120 * place)) ?? []).filter(({ bad }) => bad);
  assert.match(found.says, /^the relay's memory grew from 2\d\d to 3\d\d MiB in 10 min, which is more than /);
});
