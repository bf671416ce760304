import { parseArgs } from 'node:util';
import { NO_MOUNTS } from '../mounts.ts';
import { ACTIONS } from './arming.ts';
import { BUGS, bugNamed } from './bugs.ts';
import { FULL, wanting } from './full.ts';
import { describeRound, planRound } from './plan.ts';
import { POINTS } from './points.ts';
import { reportStorm } from './report.ts';
import { runStorm } from './storm.ts';
import { Tally } from './tally.ts';

/** `npm run faults -- …`: a storm of faults, and what became of the lines. Exits with 1 if anything is wrong. */
const HELP = `npm run faults -- [--seed N] [--minutes M] [--round K] [--full] [--plan] [--bug NAME] [--verbose]

  --seed N      what is planned; the same for the same number (default: 1)
  --minutes M   begins rounds until so much time has passed (default: 3)
  --round K     only this round of the seed
  --full        until each kind of fault has happened ${FULL} times at each point (but for --minutes, if given)
  --plan        says what is planned, and does nothing
  --bug NAME    plants a bug, which has to be found: ${BUGS.map(({ name }) => name).join(', ')}
  --verbose     says what happens, as it does`;

const PLANNED_ROUNDS = 9;
const FULL_MINUTES = 40;
const MAX_PROBLEMS = 20;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    round: { type: 'string' },
    full: { type: 'boolean', default: false },
    plan: { type: 'boolean', default: false },
    bug: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(`${HELP}\n`);
} else {
  const seed = whole('seed', values.seed);
  const round = values.round === undefined ? undefined : whole('round', values.round);
  const minutes = values.minutes === undefined ? (values.full ? FULL_MINUTES : 3) : positive('minutes', values.minutes);
  if (values.bug !== undefined) bugNamed(values.bug);
  if (values.plan || values.full) printPlan(seed, round);
  // Not left to Node, which after so many connections that were reset may wait at its end for ever, at full speed, for a
  // handle to close (node::Environment::CleanupHandles). All that the storm started is ended, and looked for, by then.
  if (!values.plan) process.exit(await storm({ seed, round, minutes }));
}

async function storm({ seed, round, minutes }: { seed: number; round?: number; minutes: number }): Promise<number> {
  const result = await runStorm({
    seed,
    round,
    forMs: minutes * 60_000,
    atLeast: values.full ? FULL : undefined,
    bug: values.bug,
    say: values.verbose ? (text) => print(`  ${text}`) : undefined,
    onRound: (plan, { problems, seconds, verdict, folder }, tally) => {
      const all = tally.total.all;
      if (problems.length === 0) {
        if (!process.stdout.isTTY && !values.verbose) return;
        const left = values.full ? `, ${wanting(tally).length} kinds still wanting` : '';
        print(
          `round ${plan.round}: ${verdict.linesChecked} lines in ${seconds.toFixed(0)} s; ${all} faults so far${left}`,
        );
        return;
      }
      print(`${describeRound(plan)}: FAILED`);
      for (const problem of problems.slice(0, MAX_PROBLEMS)) print(`  ${problem}`);
      if (problems.length > MAX_PROBLEMS) print(`  and ${problems.length - MAX_PROBLEMS} more`);
      print(`  kept in ${folder}; again: npm run faults -- --seed ${plan.seed} --round ${plan.round}${bugFlag()}`);
    },
  });
  for (const text of reportStorm(result)) print(text);
  if (NO_MOUNTS !== false) print(`full disks were left out: ${NO_MOUNTS}`);
  const short = values.full ? wanting(result.tally) : [];
  for (const { kind, at, times } of short) print(`wanting: ${times} more ${kind} at ${at}`);
  return result.failedRounds > 0 || short.length > 0 ? 1 : 0;
}

function printPlan(seed: number, round: number | undefined): void {
  const first = round ?? 1;
  const last = round ?? PLANNED_ROUNDS;
  for (let number = first; number <= last; number++) print(describeRound(planRound(seed, number)));
  if (round === undefined) print('… and so on, for as long as it is to take');
  if (!values.full) return;
  print(`each of these at least ${FULL} times, while lines are in flight:`);
  for (const { name } of POINTS) print(`  ${name}: ${ACTIONS.join(', ')}`);
  const points = new Set<string>(POINTS.map(({ name }) => name));
  for (const { kind, at } of wanting(new Tally())) if (!points.has(at)) print(`  ${at}: ${kind}`);
}

function bugFlag(): string {
  return values.bug === undefined ? '' : ` --bug ${values.bug}`;
}

function whole(name: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new Error(`--${name} ${text}: not a whole number`);
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (number > 0) return number;
  throw new Error(`--${name} ${text}: not a number above 0`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
