import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttemptOutcome, Sighting, Verdict } from './contract.ts';
import type { Evidence, StoredRun } from './evidence.ts';
import { judge } from './oracle.ts';
import { textOf, type Author, type Pipe, type Shape } from './text.ts';

/** Logs as they should be, made wrong by hand: the oracle has to say what is wrong with them. */
const SEED = 4;
const LINES = 12;

const authorOf = (attempt: number, shape: Shape = 'flood', task = 't'): Author => ({
  task,
  attempt,
  shape,
  seed: SEED,
});

interface Lines {
  attempt?: number;
  shape?: Shape;
  source?: Pipe;
  from?: number;
  count?: number;
  task?: string;
}

/** What a script wrote, without numbers: those are given by `numbered`. */
function lines({
  attempt = 1,
  shape = 'flood',
  source = 'stdout',
  from = 0,
  count = LINES,
  task = 't',
}: Lines): Sighting[] {
  return Array.from({ length: count }, (_, i) => {
    const text = textOf(authorOf(attempt, shape, task), source, from + i);
    return { type: 'line', task, source, text, more: false, rest: false };
  });
}

function gap(reason: string, count: number): Sighting {
  return { type: 'gap', task: 't', fromLine: 1, toLine: count, reason };
}

/** As a store numbers it, from 1 on. */
function numbered(log: readonly Sighting[]): Sighting[] {
  let line = 1;
  return log.map((sighting) => {
    if (sighting.type === 'line') return { ...sighting, line: line++ };
    const fromLine = line;
    line += sighting.toLine - sighting.fromLine + 1;
    return { ...sighting, fromLine, toLine: line - 1 };
  });
}

function outcome(
  more: Partial<AttemptOutcome> = {},
  wrote = LINES,
  { attempt = 1, shape = 'flood' }: { attempt?: number; shape?: Shape } = {},
): AttemptOutcome {
  const script = {
    ...{ task: 't', number: attempt, shape, seed: SEED, command: [], exitCode: 7 },
    stop: () => undefined,
    wrote: () => (wrote < 0 ? undefined : { stdout: wrote, stderr: 0 }),
  };
  return { attempt: script, killed: false, exitCode: 7, mayDrop: false, stderr: '', ...more };
}

function run(more: Partial<StoredRun> = {}): StoredRun {
  return {
    ...{ run: 'r1', status: 'failed', reason: 'exited', exitCode: 7, verified: true, lines: LINES, missing: 0 },
    labels: { attempt: '1' },
    ...more,
  };
}

interface Case {
  log?: Sighting[];
  outcomes?: AttemptOutcome[];
  runs?: StoredRun[];
  sent?: Evidence['sent'];
  trimmed?: number;
  reader?: Sighting[];
}

function evidence({
  log = numbered(lines({})),
  outcomes = [outcome()],
  runs,
  sent = [],
  trimmed,
  reader,
}: Case): Evidence {
  const count = log.filter(({ type }) => type === 'line').length;
  let missing = 0;
  for (const one of log) if (one.type === 'gap') missing += one.toLine - one.fromLine + 1;
  const stored = { task: 't', lines: count, missing, runs: runs ?? [run({ lines: count, missing })], log };
  return {
    ...{ outcomes, sent, store: [stored] },
    trimmed: new Map(trimmed === undefined ? [] : [['t', trimmed]]),
    readers: reader === undefined ? [] : [{ name: 'reader', tasks: ['t'], seen: reader }],
  };
}

const countsOf = ({ lost, duplicated, outOfOrder, altered, exitCodes }: Verdict): object => ({
  ...(lost > 0 && { lost }),
  ...(duplicated > 0 && { duplicated }),
  ...(outOfOrder > 0 && { outOfOrder }),
  ...(altered > 0 && { altered }),
  ...(exitCodes > 0 && { exitCodes }),
});

const whole = lines({});
const NOBODYS: Sighting = { type: 'gap', task: '', fromLine: 0, toLine: 0, reason: 'trimmed' };
const unnumbered = (log: readonly Sighting[]): Sighting[] =>
  log.map((one) => (one.type === 'gap' ? one : { type: 'line', task: one.task, source: one.source, text: one.text }));
const long = textOf(authorOf(1, 'long'), 'stdout', 3);
const pieces = (...cuts: number[]): Sighting[] =>
  [0, ...cuts].map((from, at) => ({
    ...{ type: 'line', task: 't', source: 'stdout', text: long.slice(from, cuts[at]) },
    ...{ more: at < cuts.length, rest: at > 0 },
  }));
/** The line at `index` in two pieces. */
const cutAt = (at: number, log: Sighting[], index: number): Sighting[] =>
  log.flatMap((one, i) => {
    if (i !== index || one.type === 'gap') return [one];
    return [
      { ...one, text: one.text.slice(0, at), more: true },
      { ...one, text: one.text.slice(at), rest: true },
    ];
  });
const beforeLong = lines({ shape: 'long', count: 3 });
const died = { killed: true, exitCode: null };
const spool = (count: number, ended = false): AttemptOutcome['spool'] => ({ run: 'r1', lines: count, ended });
const diedRun = run({ reason: 'agent-died', exitCode: null, lines: 6, missing: 1 });
const sent = (more: Partial<Evidence['sent'][number]> = {}): Evidence['sent'] => [
  { task: 't', seed: SEED, count: LINES, doubts: [], retried: [], ...more },
];
const sentLines = (...indices: number[]): Sighting[] =>
  indices.flatMap((from) => lines({ attempt: 0, shape: 'sent', from, count: 1 }));
const all = Array.from({ length: LINES }, (_, i) => i);
const socketRun = [run({ labels: {}, exitCode: null, status: 'succeeded' })];

const right: [string, Case][] = [
  ['all lines, each once', {}],
  [
    'a long line in pieces',
    { log: numbered([...beforeLong, ...pieces(1000, 262_144)]), outcomes: [outcome({}, 4, { shape: 'long' })] },
  ],
  [
    'a line whose last piece is empty',
    { log: numbered([...beforeLong, ...pieces(1000, long.length)]), outcomes: [outcome({}, 4, { shape: 'long' })] },
  ],
  [
    'odd lines, some of which are empty',
    { log: numbered(lines({ shape: 'odd' })), outcomes: [outcome({}, LINES, { shape: 'odd' })] },
  ],
  [
    "a line that was cut where it might be anybody's",
    {
      log: numbered([gap('trimmed', LINES), ...cutAt('<t/'.length, lines({ attempt: 2 }), 5)]),
      outcomes: [outcome(), outcome({}, LINES, { attempt: 2 })],
      runs: [run(), run({ run: 'r2', labels: { attempt: '2' } })],
      trimmed: LINES,
    },
  ],
  [
    'an agent that was killed, and what was in its spool',
    {
      log: numbered([...whole.slice(0, 6), gap('agent-died', 1)]),
      outcomes: [outcome({ ...died, spool: spool(6) }, -1)],
      runs: [diedRun],
    },
  ],
  ['an agent that was killed behind its end', { outcomes: [outcome({ ...died, spool: spool(LINES, true) })] }],
  ['an agent that was killed when all was delivered', { outcomes: [outcome({ ...died, spool: 'nothing' })] }],
  [
    'a full disk, and a gap that says so',
    {
      log: numbered([...whole.slice(0, 4), gap('dropped', 3), ...whole.slice(7)]),
      outcomes: [outcome({ mayDrop: true })],
    },
  ],
  [
    'old lines that were trimmed',
    { log: numbered([gap('trimmed', 5), ...whole.slice(5)]), trimmed: 5, runs: [run()], reader: numbered(whole) },
  ],
  [
    'two attempts',
    {
      log: numbered([...whole, ...lines({ attempt: 2 })]),
      outcomes: [outcome(), outcome({}, LINES, { attempt: 2 })],
      runs: [run(), run({ run: 'r2', labels: { attempt: '2' } })],
    },
  ],
  [
    'lines of a sender that came twice after a cut',
    {
      ...{ outcomes: [], runs: socketRun, sent: sent({ doubts: [{ from: 3, to: 6 }] }) },
      log: numbered(sentLines(0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 9, 10, 11)),
    },
  ],
  [
    'a line of a sender that had to be sent again',
    {
      outcomes: [],
      runs: socketRun,
      sent: sent({ retried: [2] }),
      log: numbered(sentLines(0, 1, 3, 4, 2, ...all.slice(5))),
    },
  ],
  ['a reader without numbers', { reader: unnumbered(whole) }],
  [
    'lines that were trimmed, when nobody knew any more whose they had been',
    {
      log: numbered([gap('trimmed', 8), ...whole.slice(8)]),
      trimmed: 8,
      runs: [run()],
      reader: [...numbered(whole).slice(0, 3), NOBODYS, ...numbered(whole).slice(8)],
    },
  ],
  [
    'a reader to whom the empty last piece of a dead agent is a line',
    {
      log: numbered([...beforeLong, ...pieces(1000, long.length), gap('agent-died', 1)]),
      outcomes: [outcome({ ...died, spool: spool(6) }, 4, { shape: 'long' })],
      runs: [diedRun],
      reader: unnumbered(numbered([...beforeLong, ...pieces(1000, long.length), gap('agent-died', 1)])),
    },
  ],
  [
    "a piece that might be a dead agent's, but for its run",
    {
      log: numbered([
        ...whole.slice(0, 6),
        gap('agent-died', 1),
        ...cutAt('<t/'.length, lines({ attempt: 2 }), 0).map((one, i) => ({ ...one, ...(i < 2 && { run: 'r2' }) })),
      ]),
      outcomes: [outcome({ ...died, spool: spool(6) }, -1), outcome({}, LINES, { attempt: 2 })],
      runs: [diedRun, run({ run: 'r2', labels: { attempt: '2' }, lines: LINES + 1 })],
    },
  ],
  [
    'a reader without numbers who saw what was trimmed since',
    {
      log: numbered([gap('trimmed', 5), ...whole.slice(5)]),
      trimmed: 5,
      runs: [run()],
      reader: unnumbered(whole),
    },
  ],
  [
    'a reader to whom pieces are lines',
    {
      log: numbered([...beforeLong, ...pieces(1000, long.length)]),
      outcomes: [outcome({}, 4, { shape: 'long' })],
      reader: unnumbered([...beforeLong, ...pieces(1000, long.length)]),
    },
  ],
];

for (const [what, given] of right) {
  test(`nothing is wrong with ${what}`, () => {
    const { total } = judge(evidence(given));
    assert.deepEqual(total.problems, []);
    assert.deepEqual(countsOf(total), {});
    assert.ok(total.linesChecked > 0);
  });
}

const altered = (log: readonly Sighting[], at: number, text: (text: string) => string): Sighting[] =>
  log.map((one, i) => (i === at && one.type === 'line' ? { ...one, text: text(one.text) } : one));

const wrong: [string, Case, object, RegExp][] = [
  [
    'a lost line',
    { log: numbered([...whole.slice(0, 5), ...whole.slice(6)]) },
    { lost: 1 },
    /lines 5 to 5 of stdout .* lost/,
  ],
  [
    'a number that is missing',
    { log: numbered(whole).filter((_, i) => i !== 5) },
    { lost: 1 },
    /lines 6 to 6 are neither/,
  ],
  ['a lost end', { log: numbered(whole.slice(0, 9)) }, { lost: 3 }, /lines 9 to 11 of stdout/],
  [
    'a line that comes twice',
    { log: numbered([...whole.slice(0, 6), ...whole.slice(5)]) },
    { duplicated: 1 },
    /comes again/,
  ],
  [
    'lines that come in another order',
    { log: numbered([...whole.slice(0, 5), whole[6], whole[5], ...whole.slice(7)]) },
    { outOfOrder: 1 },
    /behind its successors/,
  ],
  [
    'a changed byte',
    { log: numbered(altered(whole, 5, (text) => text.replace(/.$/, '~'))) },
    { lost: 1, altered: 1 },
    /expected .* got/,
  ],
  ['a cut line', { log: numbered(altered(whole, 5, (text) => text.slice(0, -3))) }, { altered: 1 }, /is cut/],
  [
    "another task's line",
    {
      log: numbered([
        ...whole.slice(0, 5),
        ...lines({ task: 'u', from: 5, count: 1 }).map((one) => ({ ...one, task: 't' })),
        ...whole.slice(5),
      ]),
    },
    { altered: 1 },
    /<u\/1/,
  ],
  [
    'a secret',
    {
      log: numbered(altered(lines({ shape: 'odd' }), 5, (text) => text.replace('***', 'secret'))),
      outcomes: [outcome({}, LINES, { shape: 'odd' })],
    },
    { lost: 1, altered: 1 },
    /secret/,
  ],
  ['lines that nobody wrote', { log: numbered(lines({ count: 14 })) }, { altered: 2 }, /nobody wrote/],
  [
    'a lost piece',
    {
      log: numbered([...beforeLong, ...pieces(1000, 2000, 3000).toSpliced(2, 1)]),
      outcomes: [outcome({}, 4, { shape: 'long' })],
    },
    { lost: 1 },
    /lines 3 to 3 of stdout/,
  ],
  [
    'lost lines of a spool',
    {
      log: numbered([...whole.slice(0, 5), gap('agent-died', 1)]),
      outcomes: [outcome({ ...died, spool: spool(6) }, -1)],
      runs: [{ ...diedRun, lines: 5 }],
    },
    { lost: 1 },
    /6 lines were in the spool/,
  ],
  [
    'a dead agent that nobody speaks of',
    {
      log: numbered(whole.slice(0, 6)),
      outcomes: [outcome({ ...died, spool: spool(6) }, -1)],
      runs: [{ ...diedRun, missing: 0 }],
    },
    {},
    /0 gaps say agent-died/,
  ],
  [
    'a gap that has no cause',
    { log: numbered([...whole.slice(0, 4), gap('dropped', 3), ...whole.slice(7)]) },
    {},
    /no cause/,
  ],
  [
    'a gap that says too little',
    {
      log: numbered([...whole.slice(0, 4), gap('dropped', 1), ...whole.slice(7)]),
      outcomes: [outcome({ mayDrop: true })],
    },
    { lost: 2 },
    /3 lines are missing where gaps say 1/,
  ],
  [
    'a gap that says too much',
    {
      log: numbered([...whole.slice(0, 4), gap('dropped', 9), ...whole.slice(7)]),
      outcomes: [outcome({ mayDrop: true })],
    },
    {},
    /gaps stand for 9 lines, and only 3/,
  ],
  [
    'more trimmed than was asked for',
    { log: numbered([gap('trimmed', 5), ...whole.slice(5)]), trimmed: 3 },
    {},
    /no cause/,
  ],
  ['another exit code', { outcomes: [outcome({ exitCode: 0 })] }, { exitCodes: 1 }, /ended with 0/],
  [
    'a run that is shown otherwise',
    { runs: [run({ status: 'succeeded', exitCode: 0 })] },
    {},
    /status is succeeded, not failed/,
  ],
  ['an unverified run', { runs: [run({ verified: false })] }, {}, /unverified/],
  [
    'a run that never ended',
    { runs: [run({ status: 'running', reason: null, exitCode: null, verified: null })] },
    {},
    /running/,
  ],
  ['a run with other counts', { runs: [run({ lines: 11 })] }, {}, /has 11 lines, 12 are in the log/],
  ['a run of nobody', { runs: [run(), run({ run: 'r2', labels: {} })] }, {}, /nobody started it/],
  ['no run', { runs: [] }, {}, /it has 0 runs/],
  ['a reader who lost a line', { reader: numbered(whole).filter((_, i) => i !== 5) }, { lost: 1 }, /reader: .*lost/],
  [
    'a reader to whom a line came twice',
    { reader: unnumbered([...whole.slice(0, 6), ...whole.slice(5)]) },
    { duplicated: 1 },
    /reader: .*again/,
  ],
  ['a reader who was not shown the end', { reader: unnumbered(whole.slice(0, 9)) }, { lost: 3 }, /reader: .*lost/],
  [
    'a reader without numbers who was not shown the empty last piece of a dead agent',
    {
      log: numbered([...beforeLong, ...pieces(1000, long.length), gap('agent-died', 1)]),
      outcomes: [outcome({ ...died, spool: spool(6) }, 4, { shape: 'long' })],
      runs: [diedRun],
      reader: unnumbered(numbered([...beforeLong, ...pieces(1000, long.length), gap('agent-died', 1)])).toSpliced(5, 1),
    },
    { lost: 1 },
    /reader: task t, line 6: counted from the end/,
  ],
  [
    'a reader to whom lines have other numbers',
    {
      log: numbered([...whole, ...lines({ attempt: 2 })]),
      outcomes: [outcome(), outcome({}, LINES, { attempt: 2 })],
      runs: [run(), run({ run: 'r2', labels: { attempt: '2' } })],
      reader: numbered([...lines({ attempt: 2 }), ...whole]),
    },
    { altered: 1 },
    /it is .* here, .* in the store/,
  ],
  [
    'a gap of nobody, where nothing was trimmed',
    { reader: [...numbered(whole), NOBODYS] },
    {},
    /nobody knows whose they are/,
  ],
  [
    'a sender whose line came twice without a reason',
    { outcomes: [], runs: socketRun, sent: sent(), log: numbered(sentLines(0, 1, 2, 2, ...all.slice(3))) },
    { duplicated: 1 },
    /comes again/,
  ],
  [
    'a lost line of a sender',
    { outcomes: [], runs: socketRun, sent: sent(), log: numbered(sentLines(...all.toSpliced(4, 1))) },
    { lost: 1 },
    /lost/,
  ],
];

for (const [what, given, counts, problem] of wrong) {
  test(`${what} is found`, () => {
    const { total } = judge(evidence(given));
    assert.deepEqual(countsOf(total), counts);
    assert.match(total.problems.join('\n'), problem);
  });
}

test('readers of several tasks who saw them in another order are found', () => {
  const a = lines({ count: 3 });
  const b = lines({ task: 'u', count: 3 }).map((one) => one);
  const readers = [
    { name: 'one', tasks: ['t', 'u'], seen: [a[0], b[0], a[1], b[1], a[2], b[2]] },
    { name: 'other', tasks: ['t', 'u'], seen: [a[0], a[1], b[0], b[1], a[2], b[2]] },
  ];
  const other = outcome({}, 3);
  const outcomes = [outcome({}, 3), { ...other, attempt: { ...other.attempt, task: 'u' } }];
  const runs = [run({ lines: 3 })];
  const store = [a, b].map((log, i) => ({ task: i === 0 ? 't' : 'u', lines: 3, missing: 0, runs, log: numbered(log) }));
  const { total } = judge({ outcomes, sent: [], trimmed: new Map(), store, readers });
  assert.match(total.problems.join('\n'), /^other: .*one saw it in another order$/);
});
