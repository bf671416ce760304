import { openSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { runOf } from '../../agent/spool-folder.ts';
import { startAgent, type AgentRun } from '../programs.ts';
import { spoolFiles, spoolState } from '../spools.ts';
import { steadyNow } from './arming.ts';
import type { Arm } from './arming.ts';
import type { Attempt, AttemptOutcome } from './contract.ts';
import type { Card } from './deck.ts';
import { PIPELINE, type AgentPlan } from './plan.ts';
import { newAttempt } from './shapes.ts';
import { rest } from './stage.ts';
import { SHAPES } from './text.ts';
import { arm, AT_END, stormEnv, type Weather } from './weather.ts';

/** One task, whose script is run by one agent after the other: each is killed, or comes to its end. */
export class AgentLane {
  readonly task: string;
  readonly outcomes: AttemptOutcome[] = [];
  readonly pids: number[] = [];
  readonly problems: string[] = [];
  readonly spoolFolder: string;
  readonly #plan: AgentPlan;
  readonly #weather: Weather;
  readonly #spools = new Set<string>();
  #attempt: Attempt | undefined;
  #agent: AgentRun | undefined;
  /** How long it took the last agent to have a spool. */
  #startMs = 600;
  /** The last flush while there were faults. */
  #flushing: Promise<unknown> | undefined;
  #diskWasFull = false;
  #diskIsFull = false;
  /** There are no faults any more. */
  #calm = false;
  /** When the script that runs was told to come to its end. */
  #stopped: 'no' | 'in the storm' | 'in the calm' = 'no';

  constructor(weather: Weather, plan: AgentPlan, spoolFolder: string) {
    this.task = plan.task;
    this.spoolFolder = spoolFolder;
    this.#plan = plan;
    this.#weather = weather;
  }

  /** Its script writes, or its agent has lines that are not acknowledged. */
  get inFlight(): boolean {
    return this.#agent !== undefined;
  }

  /** Whether it is its agent, or was. */
  owns(pid: number): boolean {
    return this.pids.includes(pid);
  }

  /** The disk under the spool is full, or has room again. */
  diskFull(full: boolean): void {
    this.#diskIsFull = full;
    if (full) this.#diskWasFull = true;
  }

  /** Until there are to be no more faults. The last attempt goes on then. */
  async trouble(): Promise<void> {
    const { over, isOver, random, deck, pulse } = this.#weather;
    while (!isOver()) {
      const lifeMs = Math.round(800 + random.below(2200) + this.#startMs / 4);
      const kill = random.below(4) === 0 ? undefined : deck.kill('agent');
      const arms = this.#arms([...deck.pauses('agent', 3), ...(kill ? [kill] : [])], lifeMs);
      const agent = this.#start(arms);
      pulse.faultOver(this.task);
      await this.#live(agent, { lifeMs, kill });
      // What is still at work when the storm is over is brought to its end in the calm.
      if (isOver()) return;
      if (this.#agent !== undefined) {
        agent.process.kill('SIGKILL');
        await this.#ended();
      }
      if (random.below(3) > 0) continue;
      this.#flushing = this.#flush(this.#arms(deck.pauses('agent', 1), 500));
      await Promise.race([this.#flushing, rest(2 ** 30, over)]);
    }
  }

  /** Lets one script write for as long as there are faults elsewhere. */
  async live(): Promise<void> {
    const agent = this.#start([]);
    await Promise.race([agent.result, rest(2 ** 30, this.#weather.over)]);
  }

  /** Brings all to its end: nothing makes faults any more, and the relay is there. */
  async finish(signal: AbortSignal): Promise<void> {
    // What the storm did may still have an effect on the attempt that it left behind; the next one has a quiet life.
    this.#calm = true;
    await this.#flushing;
    if (this.#agent === undefined) {
      await this.#begun(this.#start([]).result.then(() => undefined));
    }
    this.#stop();
    await this.#ended(signal);
    for (let tries = 0; tries < MAX_FLUSHES && this.#left.length > 0; tries++) {
      const { exitCode, stderr } = await this.#flush([]);
      if (tries === MAX_FLUSHES - 1 && exitCode !== 0) {
        this.problems.push(`${this.task}: flush does not bring everything to a relay that is well: ${stderr.trim()}`);
      }
    }
  }

  get #left(): string[] {
    return spoolFiles(this.spoolFolder).filter((name) => name.endsWith('.spool'));
  }

  #arms(cards: readonly Card[], lifeMs: number): Arm[] {
    return cards.map((card) => {
      // A script that has come to its end is waited for by those that are met only then.
      return arm(this.#weather, card, { startMs: AT_END.has(card.point) ? 0 : this.#startMs, lifeMs });
    });
  }

  #start(arms: readonly Arm[]): AgentRun {
    const { context, folder, random, plan } = this.#weather;
    const number = this.outcomes.length + 1;
    this.#attempt = newAttempt({
      task: this.task,
      number,
      shape: random.pick(SHAPES),
      seed: 1 + ((plan.seed * 7919 + plan.round * 101 + number) % 999_983),
      folder: join(folder, 'scripts', `${this.task}-${number}`),
    });
    this.#diskWasFull = this.#diskIsFull;
    this.#stopped = 'no';
    const { args = [], command, env } = this.#attempt;
    const words = ['execute', '--task-id', this.task, '--pipeline-id', PIPELINE, ...args];
    const stdout = openSync('/dev/null', 'w');
    try {
      this.#agent = startAgent(context, [...words, ...(this.#plan.tee ? [] : ['--no-tee']), '--', ...command], {
        env: { ...this.#env(arms), ...env },
        stdout,
      });
    } finally {
      closeSync(stdout);
    }
    this.pids.push(this.#agent.pid);
    return this.#agent;
  }

  async #live(agent: AgentRun, { lifeMs, kill }: { lifeMs: number; kill: Card | undefined }): Promise<void> {
    const { over, isOver, tally, inFlight, plan } = this.#weather;
    const gone = agent.result.then(() => undefined);
    await this.#begun(gone);
    await Promise.race([gone, rest(lifeMs, over)]);
    if (kill === undefined || AT_END.has(kill.point)) this.#stop();
    else {
      await Promise.race([gone, rest(plan.patient ? 2 ** 30 : PATIENCE_MS, over)]);
      if (agent.process.exitCode === null && agent.process.signalCode === null && !isOver()) {
        tally.add({ kind: 'kill', at: 'agent', inFlight: inFlight() });
        agent.process.kill('SIGKILL');
      }
    }
    await Promise.race([gone, rest(END_PATIENCE_MS, over)]);
    if (agent.process.exitCode !== null || agent.process.signalCode !== null) await this.#ended();
  }

  /** Until it has a spool, or can't have one. */
  async #begun(gone: Promise<void>): Promise<void> {
    const since = steadyNow();
    let left = false;
    void gone.then(() => (left = true));
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- it changes meanwhile
    while (!left && this.#newSpool() === undefined && steadyNow() - since < START_PATIENCE_MS) await rest(20);
    this.#startMs = steadyNow() - since;
  }

  #stop(): void {
    if (this.#stopped === 'no') this.#stopped = this.#calm ? 'in the calm' : 'in the storm';
    this.#attempt?.stop();
  }

  async #ended(signal?: AbortSignal): Promise<void> {
    const agent = this.#agent;
    const attempt = this.#attempt;
    if (agent === undefined || attempt === undefined) return;
    const late = new Promise<'late'>((resolve) => signal?.addEventListener('abort', () => resolve('late')));
    const result = await Promise.race([agent.result, late]);
    if (result === 'late') {
      this.problems.push(`${this.task}: the agent of attempt ${attempt.number} (${attempt.shape}) does not end`);
      agent.process.kill('SIGKILL');
      attempt.stop();
      return;
    }
    const killed = result.signal === 'SIGKILL';
    if (result.signal !== null && !killed) {
      this.problems.push(
        `${this.task}: the agent of attempt ${attempt.number} ended by ${result.signal}: ${result.stderr.trim()}`,
      );
    }
    // Its script may wait for something that nobody does any more.
    if (killed) attempt.stop();
    if (this.#stopped === 'in the calm' && !killed && this.#newSpool() !== undefined) {
      this.problems.push(`${this.task}: attempt ${attempt.number} left lines in its spool, and the relay was there`);
    }
    const outcome: AttemptOutcome = {
      attempt,
      killed,
      exitCode: killed ? null : result.exitCode,
      ...(killed && { spool: this.#inspect() }),
      mayDrop: this.#diskWasFull,
      stderr: result.stderr,
    };
    this.outcomes.push(outcome);
    const { spool } = outcome;
    const said = result.stderr
      .split('\n')
      .filter((line) => line.startsWith('keruta-agent: '))
      .slice(0, 5);
    const how = killed ? `killed, spool ${JSON.stringify(spool)}` : `exit code ${result.exitCode}`;
    this.#weather.say(`${this.task}: attempt ${attempt.number} (${attempt.shape}) ${how}; ${said.join(' ')}`);
    for (const name of this.#left) this.#spools.add(name);
    this.#agent = undefined;
  }

  /** The spool that the last agent left, if it did. */
  #newSpool(): string | undefined {
    return this.#left.find((name) => !this.#spools.has(name));
  }

  #inspect(): AttemptOutcome['spool'] {
    const name = this.#newSpool();
    if (name === undefined) return 'nothing';
    const state = spoolState(join(this.spoolFolder, name));
    return state === undefined ? 'nothing' : { run: runOf(name), lines: state.nextSeq, ended: state.ended };
  }

  async #flush(arms: readonly Arm[]) {
    const { context } = this.#weather;
    const since = steadyNow();
    const agent = startAgent(context, ['flush', '--spool-dir', this.spoolFolder], { env: this.#env(arms) });
    this.pids.push(agent.pid);
    const { exitCode, stderr } = await agent.result;
    this.#weather.say(`${this.task}: flush ended with ${exitCode} after ${steadyNow() - since} ms`);
    return { exitCode, stderr };
  }

  #env(arms: readonly Arm[]): Record<string, string> {
    const { entrance, agentsUrl, folder } = this.#weather;
    return {
      // What an agent leaves there that is killed while it makes its pipes goes with the round.
      TMPDIR: folder,
      KERUTA_API_URL: `${agentsUrl}/api/v1`,
      KERUTA_SPOOL_DIR: this.spoolFolder,
      KERUTA_WEBSOCKET_TIMEOUT: this.#calm ? '30s' : '5s',
      KERUTA_WEBSOCKET_RECONNECT_MAX_INTERVAL: '300ms',
      KERUTA_DRAIN_TIMEOUT: '40s',
      ...(this.#plan.http && { KERUTA_WEBSOCKET_HTTP_FALLBACK: 'always', KERUTA_API_TIMEOUT: '5s' }),
      ...(entrance.tokens && { KERUTA_AUTH_TOKEN: entrance.tokens.ingest }),
      ...(entrance.caFile !== undefined && { KERUTA_WEBSOCKET_CERT_PATH: entrance.caFile }),
      ...stormEnv(this.#weather, arms),
    };
  }
}

/** Where the disk is full, it never has a spool. */
const START_PATIENCE_MS = 15_000;
/** How much longer it may take until the point is met at which it is to die. */
const PATIENCE_MS = 1500;
/** Until a script that was told to end has done so, and its log is delivered. */
const END_PATIENCE_MS = 60_000;
const MAX_FLUSHES = 3;
