import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mountSmall, NO_MOUNTS } from '../mounts.ts';
import { Random } from '../random.ts';
import { AgentLane } from './agent-lane.ts';
import { steadyNow } from './arming.ts';
import { ask } from './ask.ts';
import { troubleClock } from './clock-lane.ts';
import { setClock } from './clock.ts';
import type { Footprint, StormReader, StormSender, Verdict } from './contract.ts';
import type { Deals } from './deck.ts';
import { troubleDisks, type Disks } from './disk-lane.ts';
import { openEntrance } from './entrance.ts';
import { Journal } from './journal.ts';
import { judgeRound } from './judge.ts';
import { findLeaks, footprint } from './leaks.ts';
import { troubleNetwork } from './network-lane.ts';
import { describeRound, PIPELINE, type RoundPlan, type Victim } from './plan.ts';
import { Pulse } from './pulse.ts';
import { openReaders } from './readers.ts';
import { all, RelayHost } from './relay-host.ts';
import { troubleRelay } from './relay-lane.ts';
import { openSenders } from './senders.ts';
import { rest, Stage } from './stage.ts';
import { awaken } from './stopped.ts';
import type { Tally } from './tally.ts';
import { trimTasks } from './trim-lane.ts';
import { epochOf, verifyStore } from './verify-store.ts';
import type { Weather } from './weather.ts';

/** A round's outcome; its folder is kept if there are problems. */
export interface RoundResult {
  verdict: Verdict;
  /** Sentences: everything that is wrong. */
  problems: string[];
  leaks: number;
  seconds: number;
  folder: string;
}

export interface RoundOptions {
  deck: Deals;
  tally: Tally;
  /** Of all rounds. */
  cacheFolder: string;
  bug?: string;
  /** For calm to return, ms. */
  patienceMs?: number;
  say?: (text: string) => void;
}

/**
 * One round: fresh folders, one relay, agents with scripts, senders and readers; faults for a while; then calm, in which
 * everything has to come to its end; then it is judged what became of the lines, and looked for what is left behind.
 */
export async function runRound(plan: RoundPlan, options: RoundOptions): Promise<RoundResult> {
  const since = steadyNow();
  const stage = new Stage();
  const folder = mkdtempSync(join(tmpdir(), `keruta-storm-${plan.seed}-${plan.round}-`));
  const problems: string[] = [];
  const round = new Round(plan, { ...options, stage, folder, problems });
  try {
    await round.run();
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await stage.clear().catch((error: unknown) => problems.push(`cleaning up: ${String(error)}`));
  }
  const seconds = (steadyNow() - since) / 1000;
  if (problems.length === 0) rmSync(folder, { recursive: true });
  else
    writeFileSync(join(folder, 'problems.txt'), `${describeRound(plan)}\n\n${problems.join('\n')}\n\n${round.story}\n`);
  return { verdict: round.verdict, problems, leaks: round.leaks, seconds, folder };
}

class Round {
  verdict: Verdict = {
    ...{ linesChecked: 0, lost: 0, duplicated: 0, outOfOrder: 0, altered: 0, exitCodes: 0 },
    gaps: {},
    problems: [],
  };
  leaks = 0;
  readonly #plan: RoundPlan;
  readonly #options: RoundOptions & { stage: Stage; folder: string; problems: string[] };
  readonly #story: string[] = [];
  readonly #began = steadyNow();

  constructor(plan: RoundPlan, options: RoundOptions & { stage: Stage; folder: string; problems: string[] }) {
    this.#plan = plan;
    this.#options = options;
  }

  /** What happened, for whoever looks for what went wrong. */
  get story(): string {
    return this.#story.join('\n');
  }

  async run(): Promise<void> {
    const { stage, folder, problems, deck, tally, bug, cacheFolder, patienceMs = PATIENCE_MS } = this.#options;
    const plan = this.#plan;
    const random = new Random(plan.seed * 31 + plan.round);
    const say = (text: string): void => this.#say(text);
    const journal = new Journal(join(folder, 'journal'));
    stage.after(() => journal.close());
    const { entrance, agentsUrl, proxies, relayArgs, relayEnv } = await openEntrance(stage, folder, plan);
    const clock = join(folder, 'clock');
    setClock(clock, 0);
    const data = this.#disk('data', RELAY_DISK);
    const over = new AbortController();
    const begun = Promise.withResolvers<undefined>();
    let timer: NodeJS.Timeout | undefined;
    stage.after(() => {
      clearTimeout(timer);
      over.abort();
    });

    const tasks = plan.agents.map(({ task }) => task);
    const readers: StormReader[] = [];
    const pulse = new Pulse(readers, tally);
    stage.after(() => pulse.stop());
    const lanes: AgentLane[] = [];
    const weather: Weather = {
      ...{
        plan,
        context: stage,
        folder,
        random,
        deck,
        journal,
        tally,
        pulse,
        entrance,
        agentsUrl,
        clock,
        bug,
        cacheFolder,
        say,
      },
      inFlight: () => lanes.some((lane) => lane.inFlight),
      begin: () => {
        timer ??= setTimeout(() => over.abort(), MAX_STORM_MS);
        begun.resolve(undefined);
      },
      begun: Promise.race([begun.promise, rest(2 ** 30, over.signal)]),
      over: over.signal,
      isOver: () => over.signal.aborted,
      ask: (method, path) => ask(host.direct, { method, path }),
    };
    const host = new RelayHost(weather, { data, args: relayArgs, env: relayEnv, proxies });
    lanes.push(
      ...plan.agents.map((agent) => new AgentLane(weather, agent, this.#disk(`spool-${agent.task}`, SPOOL_DISK))),
    );
    const disks: Disks = { relay: data, agents: lanes, relayWasFull: false, relayIsFull: false };
    this.#watch(weather, lanes);
    stage.after(() => writeFileSync(join(folder, 'relay.log'), host.said));

    const senders: StormSender[] = openSenders({ entrance, seed: plan.seed + plan.round });
    stage.after(() => Promise.all(senders.map((sender) => sender.close())));
    readers.push(...openReaders({ entrance, tasks, pipeline: PIPELINE, seed: plan.seed + plan.round }));
    stage.after(() => Promise.all(readers.map((reader) => reader.close())));

    // Storm.
    let faults = 0;
    tally.onFault = () => {
      if (++faults === plan.faults) over.abort();
    };
    const trimmed = new Map<string, number>();
    const happens = (to: Victim): boolean => plan.victims.includes(to);
    await together(over, [
      troubleRelay(weather, host, disks),
      ...lanes.map((lane) => (happens('agents') ? lane.trouble() : lane.live())),
      ...(happens('network') ? [troubleNetwork(weather, proxies)] : []),
      ...(happens('clock') ? [troubleClock(weather)] : []),
      ...(happens('disks') ? [troubleDisks(weather, disks)] : []),
      ...(happens('old lines') ? [trimTasks(weather, trimmed)] : []),
    ]);

    // Calm.
    say('calm');
    const patience = AbortSignal.timeout(patienceMs);
    const late = (what: string) => problems.push(`after ${patienceMs / 1000} s of calm ${what}`);
    for (const proxy of all(proxies)) proxy.refuse(true);
    if (!(await host.start([]))) throw new Error('the relay died in the calm');
    problems.push(...forgotten(host.epochs));
    const before = footprint(host.pid);
    for (const proxy of all(proxies)) proxy.refuse(false);
    await Promise.all([
      ...lanes.map((lane) => lane.finish(patience)),
      ...senders.map((sender) => {
        return until(sender.finish(patience), patience, () => late(`the sender ${sender.name} waits for answers`));
      }),
    ]);
    for (const lane of lanes) problems.push(...lane.problems);
    pulse.stop();
    say('everything is sent');
    const heads = await headsOf(weather);
    const readersPatience = AbortSignal.timeout(patienceMs);
    await Promise.all(
      readers.map((reader) => {
        const caughtUp = reader.caughtUp(heads, readersPatience);
        return until(caughtUp, readersPatience, () => late(`the reader ${reader.name} has not seen all`));
      }),
    );
    say('all readers have caught up');

    // Judgement.
    const outcomes = lanes.flatMap((lane) => lane.outcomes);
    this.verdict = await judgeRound({ direct: host.direct, outcomes, senders, readers, trimmed });
    problems.push(...this.verdict.problems);
    say('judged');
    await Promise.all(readers.map((reader) => reader.close()));
    await Promise.all(senders.map((sender) => sender.close()));
    await this.#leave({ weather, host, lanes, before, data });
  }

  /** Looks for what is left behind, and whether the store is sound. */
  async #leave({ weather, host, lanes, before, data }: Leaving): Promise<void> {
    const { folder, problems } = this.#options;
    const leaks = await findLeaks({
      relay: { pid: host.pid, before },
      direct: host.direct,
      dataFolder: data,
      spoolFolders: lanes.map(({ spoolFolder }) => spoolFolder),
      agentPids: lanes.flatMap(({ pids }) => pids),
      folder,
    });
    this.leaks = leaks.length;
    problems.push(...leaks);
    host.signal('SIGTERM');
    await host.gone();
    if (host.ending?.code !== 0) {
      problems.push(
        `the relay was asked to stop, and ended with ${host.ending?.signal ?? `code ${host.ending?.code}`}`,
      );
    }
    problems.push(...forgotten(new Set([...host.epochs.slice(-1), epochOf(data)])));
    const unsound = await verifyStore(weather.context, data);
    if (unsound !== undefined) problems.push(`the store is not sound: ${unsound}`);
    weather.say('left');
  }

  /** Counts what the processes do to themselves, and awakens those that stand still. */
  #watch(weather: Weather, lanes: readonly AgentLane[]): void {
    const { journal, tally, inFlight, pulse, say } = weather;
    const problemOf = (error: unknown) => this.#options.problems.push(String(error));
    journal.onFired = ({ pid, arm, again }) => {
      if (!again) tally.add({ kind: arm.action, at: arm.point, inFlight: inFlight() });
      say(`${pid}: ${arm.action} at ${arm.point}`);
      if (arm.action === 'kill') return;
      const task = lanes.find((lane) => lane.owns(pid))?.task;
      void rest(arm.ms)
        .then(() => (arm.action === 'stop' ? awaken(pid) : undefined))
        .then(() => pulse.faultOver(task), problemOf);
    };
  }

  #disk(name: string, options: string): string {
    const { stage, folder } = this.#options;
    const path = join(folder, name);
    mkdirSync(path);
    if (!this.#plan.smallDisks || NO_MOUNTS !== false) return path;
    return mountSmall(stage, options);
  }

  #say(text: string): void {
    this.#story.push(`${String(steadyNow() - this.#began).padStart(6)} ${text}`);
    this.#options.say?.(text);
  }
}

/** A relay numbers anew when it learns that it has acknowledged what it has not. */
function forgotten(epochs: Iterable<string>): string[] {
  const count = [...epochs].length;
  return count > 1 ? [`the relay has forgotten what it had acknowledged: ${count} epochs`] : [];
}

interface Leaving {
  weather: Weather;
  host: RelayHost;
  lanes: readonly AgentLane[];
  before: Footprint;
  data: string;
}

/** All of them; the first that fails ends the others, and is what is thrown. */
async function together(over: AbortController, work: readonly Promise<void>[]): Promise<void> {
  let failure: unknown;
  const watched = work.map((one) =>
    one.catch((error: unknown) => {
      failure ??= error;
      over.abort();
    }),
  );
  await Promise.all(watched);
  if (failure !== undefined) throw failure as Error;
}

/** Waits for it, but no longer than until the signal aborts. */
async function until(work: Promise<void>, signal: AbortSignal, onLate: () => void): Promise<void> {
  const waiting = new AbortController();
  const finished = work.then(
    () => true,
    (error: unknown) => {
      if (!signal.aborted) throw error;
      return false;
    },
  );
  const late = rest(2 ** 30, AbortSignal.any([signal, waiting.signal])).then(() => false);
  const done = await Promise.race([finished, late]);
  waiting.abort();
  if (!done) onLate();
}

async function headsOf({ ask, plan }: Weather): Promise<Map<string, number>> {
  const { content } = (await ask('GET', '/api/v1/tasks?limit=100')) as {
    content: { taskId: string; lastLine: number }[];
  };
  if (content.length < plan.agents.length) throw new Error('the relay does not know all tasks');
  return new Map(content.map(({ taskId, lastLine }) => [taskId, lastLine]));
}

const PATIENCE_MS = 150_000;
/** Where the machine is so slow that the faults do not come. */
const MAX_STORM_MS = 180_000;
const RELAY_DISK = 'size=96m';
const SPOOL_DISK = 'size=8m';
