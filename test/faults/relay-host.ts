import { steadyNow, type Arm } from './arming.ts';
import type { Entrance } from './contract.ts';
import { wrongTime } from './faketime.ts';
import type { FaultyProxy } from '../faulty-proxy.ts';
import { startRelay, type RelayProcess } from '../programs.ts';
import { stormEnv, type Weather } from './weather.ts';

/** The relay of a round: one process after the other on the same data, always behind the same proxies. */
export class RelayHost {
  /** How long the last start took. */
  startMs = 2000;
  readonly #weather: Weather;
  readonly #options: HostOptions;
  readonly #epochs = new Set<string>();
  #process: RelayProcess | undefined;
  #said = '';
  #grpcPort = 0;

  constructor(weather: Weather, options: HostOptions) {
    this.#weather = weather;
    this.#options = options;
  }

  /** Of the process that runs, past the proxies. */
  get direct(): Entrance {
    return { ...this.#weather.entrance, url: this.#running.url, grpc: `127.0.0.1:${this.#grpcPort}` };
  }

  get pid(): number {
    return this.#running.process.pid ?? 0;
  }

  /** What its store's numbering was called, of all processes until now: one, unless a relay forgot what it had. */
  get epochs(): readonly string[] {
    return [...this.#epochs];
  }

  /** What all processes have said on stderr. */
  get said(): string {
    return this.#said + (this.#process?.stderr.text ?? '');
  }

  /** Resolves when it listens, or one of its arms has killed it; true if it listens. Rejects if it does not start. */
  async start(arms: readonly Arm[]): Promise<boolean> {
    const { context, journal } = this.#weather;
    const { data, args, env, proxies } = this.#options;
    const since = steadyNow();
    const { under, env: bent } = wrongTime(this.#weather);
    try {
      this.#process = await startRelay(context, data, {
        args: [...args, '--grpc-port', '0'],
        env: { ...env, ...bent, ...stormEnv(this.#weather, arms) },
        under,
      });
      this.#grpcPort = Number((await this.#process.stderr.has(/"url":"https?:\/\/[\d.]+:(\d+)","msg":"gRPC/))[1]);
    } catch (error) {
      this.#process = undefined;
      if (arms.some((one) => one.action === 'kill' && journal.hasFired(one))) return false;
      throw error;
    }
    this.startMs = steadyNow() - since;
    for (const [, epoch] of this.#process.stderr.text.matchAll(/"epoch":"([^"]+)"/g)) this.#epochs.add(epoch);
    proxies.agents.target = proxies.clients.target = this.#process.port;
    proxies.grpc.target = this.#grpcPort;
    return true;
  }

  /** Resolves when it is gone. */
  async gone(): Promise<void> {
    const { process } = this.#running;
    if (process.exitCode === null && process.signalCode === null) {
      await new Promise((resolve) => process.once('exit', resolve));
    }
  }

  /** How it ended, if it has. */
  get ending(): { code: number | null; signal: NodeJS.Signals | null } | undefined {
    const { exitCode: code, signalCode: signal } = this.#running.process;
    return code === null && signal === null ? undefined : { code, signal };
  }

  signal(signal: NodeJS.Signals): void {
    this.#running.process.kill(signal);
  }

  /** Lets go of the process that has ended. */
  forget(): void {
    this.#said = this.said.slice(-MAX_SAID_CHARACTERS);
    this.#process = undefined;
  }

  get #running(): RelayProcess {
    if (this.#process === undefined) throw new Error('the relay was not started');
    return this.#process;
  }
}

export interface HostOptions {
  data: string;
  args: readonly string[];
  env: Record<string, string>;
  proxies: Proxies;
}

/** Who stands between the relay and the others. */
export interface Proxies {
  agents: FaultyProxy;
  clients: FaultyProxy;
  grpc: FaultyProxy;
}

export function all({ agents, clients, grpc }: Proxies): FaultyProxy[] {
  return [agents, clients, grpc];
}

const MAX_SAID_CHARACTERS = 4_000_000;
