import type { Logger } from 'pino';
import { ERRORS, KerutaError } from '../../../../shared/errors.ts';
import { MAX_TEXT_CHARACTERS } from '../../../../shared/wire.ts';
import { toKerutaError, type ErrorMeter } from '../../../http-errors.ts';
import { IdleTimer } from '../../idle-timer.ts';
import { connectionOf, type ClientSocket } from './connection.ts';
import { Outlet } from './outlet.ts';
import { refusalOf, sendAway, type Refusal } from './refusal.ts';
import type { ServerStats } from './server-stats.ts';
import { Subscriptions, type Answer, type Subject, type SubscriptionsOptions } from './subscriptions.ts';
import { Turns } from './turns.ts';

export interface SessionOptions extends Omit<SubscriptionsOptions, 'outlet' | 'onError'> {
  /** Ends it when nothing is subscribed to and said for so long. Undefined: never. */
  sessionTimeoutMs: number | undefined;
  stats: ServerStats;
  /** What `server-stats` says. */
  report: () => Promise<object>;
  meter: ErrorMeter;
  log: Pick<Logger, 'error'>;
}

/** One client: answers what it asks, one thing after the other, until it goes or is sent away. */
export class Session {
  readonly #socket: ClientSocket;
  readonly #options: SessionOptions;
  readonly #outlet: Outlet;
  readonly #subscriptions: Subscriptions;
  readonly #turns: Turns;
  readonly #idle: IdleTimer;
  readonly #exchanges: ReadonlyMap<string, Exchange>;
  #ended = false;

  constructor(socket: ClientSocket, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#outlet = new Outlet(connectionOf(socket));
    this.#subscriptions = new Subscriptions({
      ...options,
      outlet: this.#outlet,
      onError: (error, subject) => this.#broken(error, subject),
    });
    this.#turns = new Turns((error) => options.log.error({ err: error }, 'a client could not be answered'));
    this.#idle = new IdleTimer({
      timeoutMs: options.sessionTimeoutMs,
      busy: () => this.#subscriptions.size > 0,
      onIdle: () => this.sendAway(new KerutaError('IDLE', 'Nothing was subscribed to, and nothing was said.')),
    });
    this.#exchanges = exchangesOf(this.#subscriptions, () => this.#report());
  }

  start(): void {
    connectionOf(this.#socket).on('packet', ({ data }) => this.#turns.came(data?.length ?? 0));
    this.#socket.onAny((event: string, ...args: unknown[]) => this.#heard(event, args));
    this.#socket.once('disconnect', (reason) => {
      this.#end();
      // Nothing else is there for it on this connection.
      if (reason === 'client namespace disconnect') connectionOf(this.#socket).close(true);
    });
    this.#idle.start();
    this.#socket.emit('connected', {
      sessionId: this.#socket.id,
      message: 'Connected to the log stream.',
      timestamp: this.#timestamp(),
      features: FEATURES,
    });
  }

  /** Ends subscriptions to what may not be watched any more. */
  review(): Promise<void> {
    return this.#subscriptions.review();
  }

  sendAway(error: KerutaError): void {
    if (this.#ended) return;
    this.#options.meter.failed(error.code);
    this.#end();
    sendAway(this.#socket, error);
  }

  #end(): void {
    this.#ended = true;
    this.#turns.close();
    this.#idle.stop();
    this.#subscriptions.stopAll();
  }

  #heard(event: string, args: unknown[]): void {
    this.#idle.said();
    if (this.#turns.full) {
      this.sendAway(new KerutaError('OVERLOADED', 'Too much was asked before the answers were taken.'));
      return;
    }
    this.#turns.add(async () => {
      await this.#answer(event, args);
      // Who asks without taking the answers is not answered on.
      await this.#outlet.ready();
    });
  }

  async #answer(event: string, args: unknown[]): Promise<void> {
    const [payload] = args;
    const last = args.at(-1);
    const acknowledge = typeof last === 'function' ? (last as (answer: object) => void) : undefined;
    const exchange = this.#exchanges.get(event);
    if (exchange === undefined) {
      const error = new KerutaError('INVALID_INPUT', `There is no event ${JSON.stringify(event.slice(0, 100))}.`);
      acknowledge?.({ success: false, ...this.#told(error) });
      return;
    }
    try {
      const { said, begin } = await exchange.act(payload);
      if (this.#ended) return;
      this.#options.stats.answered('success');
      const shown = { event, ...said, timestamp: this.#timestamp() };
      this.#socket.emit(exchange.success, shown);
      acknowledge?.({ success: true, ...shown });
      begin?.();
    } catch (error) {
      const shown = { ...this.#told(error), event, ...subjectOf(payload) };
      this.#socket.emit(exchange.failure, shown);
      acknowledge?.({ success: false, ...shown });
    }
  }

  /** A subscription could not go on. If we are to blame, the client comes back to try again. */
  #broken(error: unknown, subject: Subject): void {
    if (this.#ended) return;
    const event = 'taskId' in subject ? 'subscribe-to-logs' : 'subscribe-to-pipeline';
    this.#socket.emit('subscription_error', { ...this.#told(error), event, ...subject });
    if (!ERRORS[toKerutaError(error).code].retry) return;
    this.#end();
    connectionOf(this.#socket).close();
  }

  /** Counts an error, and says it. */
  #told(error: unknown): Refusal {
    const { meter, stats, log } = this.#options;
    const shown = toKerutaError(error);
    meter.failed(shown.code);
    stats.answered('error');
    if (ERRORS[shown.code].status === 500) log.error({ err: error }, 'a client could not be served');
    return refusalOf(shown);
  }

  async #report(): Promise<Answer> {
    const { caller, report } = this.#options;
    if (!caller.principal.has('read')) throw new KerutaError('FORBIDDEN', 'The token does not grant read.');
    return { said: await report() };
  }

  #timestamp(): string {
    return new Date(this.#options.now()).toISOString();
  }
}

/** What a client may ask, and the events that answer it. */
interface Exchange {
  success: string;
  failure: string;
  act: (payload: unknown) => Answer | Promise<Answer>;
}

function exchangesOf(subscriptions: Subscriptions, report: Exchange['act']): ReadonlyMap<string, Exchange> {
  const answered = (name: string, act: Exchange['act']): Exchange => ({
    success: `${name}_success`,
    failure: `${name}_error`,
    act,
  });
  return new Map([
    ['subscribe-to-logs', answered('subscription', (payload) => subscriptions.subscribe(payload))],
    ['unsubscribe-from-logs', answered('unsubscription', (payload) => subscriptions.unsubscribe(payload))],
    ['update-log-filter', answered('filter_update', (payload) => subscriptions.updateFilter(payload))],
    ['subscribe-to-pipeline', answered('subscription', (payload) => subscriptions.subscribeToPipeline(payload))],
    [
      'unsubscribe-from-pipeline',
      answered('unsubscription', (payload) => subscriptions.unsubscribeFromPipeline(payload)),
    ],
    ['get-server-stats', { success: 'server-stats', failure: 'stats_error', act: report }],
  ]);
}

/** What a payload was about, as far as it can be told. What is longer is no id, and is not sent back. */
function subjectOf(payload: unknown): object {
  const { taskId, pipelineId } = (payload ?? {}) as Record<string, unknown>;
  return { ...(isShort(taskId) && { taskId }), ...(isShort(pipelineId) && { pipelineId }) };
}

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT_CHARACTERS;
}

const FEATURES = ['real-time-logs', 'pipeline-progress', 'log-filtering', 'task-subscription'];
