import { once } from 'node:events';
import { get, type ClientRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import fastify, { type FastifyInstance } from 'fastify';
import type { KerutaError } from '../../../shared/errors.ts';
import '../../auth/http.ts';
import { ANYBODY, type Principal } from '../../auth/principal.ts';
import { MergedReader } from '../../merged/merged-reader.ts';
import { PipelineWatch } from '../../pipelines/pipeline-watch.ts';
import { openReading, type Reading } from '../../reading.fixture.ts';
import { RunFacts } from '../../run-facts.ts';
import { answerErrors } from '../answer-errors.ts';
import { describeOnly } from '../openapi.ts';
import { SseStreams } from '../sse.ts';
import { ottoError } from './errors.ts';
import { PipelineProgress } from './pipeline-progress.ts';
import { addLogStreams } from './sse-logs.ts';
import { addProgressStream } from './sse-progress.ts';

/** Otto's streams over a real store, read by anybody or by who is given; all gone after the test. */
export async function openStreams(
  t: TestContext,
  { principal = ANYBODY }: { principal?: Principal } = {},
): Promise<Streams> {
  const closing: (() => Promise<void>)[] = [];
  // Said first, done first: the store closes behind those who read it.
  t.after(async () => {
    for (const close of closing) await close();
  });
  const reading = await openReading(t);
  const { store, reader } = reading;
  const streams = new SseStreams();
  const merged = new MergedReader({ store });
  const log = { error: console.error };
  const meter = { failed: () => undefined };
  const parts = { reader, merged, runFacts: new RunFacts({ store }), streams, meter, log, now: Date.now } as never;
  const pipelines = new PipelineWatch({ store });

  const app = fastify({ routerOptions: { maxParamLength: 768 } }) as unknown as FastifyInstance;
  app.decorateRequest('caller');
  app.addHook('onRequest', (request, _reply, done) => {
    request.caller = { principal, address: '127.0.0.1', requestId: request.id };
    done();
  });
  describeOnly(app);
  const shape = (error: KerutaError, { id }: { id: string }): object =>
    ottoError(error, { clientId: id, now: Date.now() });
  answerErrors(app, { meter, log, shape });
  addLogStreams(app, parts);
  addProgressStream(app, Object.assign(parts, { progress: new PipelineProgress({ pipelines, reader }) }));
  await app.listen({ host: '127.0.0.1', port: 0 });
  closing.push(
    () => streams.stop(),
    () => app.close(),
  );
  const { port } = app.server.address() as AddressInfo;
  return { reading, merged, streams, base: `http://127.0.0.1:${port}/log-streaming` };
}

export interface Streams {
  reading: Reading;
  merged: MergedReader;
  streams: SseStreams;
  /** The URL before `/stream` and the others. */
  base: string;
}

/** One event as it came: its lines, in order. */
export type RawEvent = string[];

/** A client that takes events as they are, and only when it is asked for one. */
export class RawStream {
  readonly response: IncomingMessage;
  readonly #request: ClientRequest;
  readonly #events: AsyncGenerator<RawEvent, void, undefined>;

  constructor(request: ClientRequest, response: IncomingMessage) {
    this.#request = request;
    this.response = response;
    this.#events = eventsOf(response);
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<RawStream> {
    const request = get(url, { headers, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return new RawStream(request, response);
  }

  /** The next event; undefined at the end. Rejects if the connection breaks. */
  async next(): Promise<RawEvent | undefined> {
    const next = await this.#events.next();
    return next.done === true ? undefined : next.value;
  }

  async take(count: number): Promise<RawEvent[]> {
    const events: RawEvent[] = [];
    while (events.length < count) events.push((await this.next()) ?? ['the end']);
    return events;
  }

  /** The body of an answer that is no stream. */
  async whole(): Promise<string> {
    let text = '';
    for await (const piece of this.response.setEncoding('utf8') as AsyncIterable<string>) text += piece;
    return text;
  }

  /** All up to the end. */
  async rest(): Promise<RawEvent[]> {
    const events: RawEvent[] = [];
    for (let event = await this.next(); event !== undefined; event = await this.next()) events.push(event);
    return events;
  }

  close(): void {
    this.#request.destroy();
  }
}

/** The text behind `name: ` in an event. */
export function field(event: RawEvent | undefined, name: string): string | undefined {
  return event?.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
}

export function dataOf(event: RawEvent | undefined): Record<string, unknown> {
  return JSON.parse(field(event, 'data') ?? 'null') as Record<string, unknown>;
}

async function* eventsOf(response: IncomingMessage): AsyncGenerator<RawEvent, void, undefined> {
  let text = '';
  response.setEncoding('utf8');
  for await (const piece of response as AsyncIterable<string>) {
    const events = (text + piece).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) yield event.split('\n');
  }
}
