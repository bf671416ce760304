import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { encodeLines } from '../shared/columns.ts';
import { kindOf } from '../shared/line.ts';
import { newUlid } from '../shared/ulid.ts';
import { startDelivery, type DeliveryOptions, type RunOutbox } from './delivery.ts';
import { FakeRelay } from './fake-relay.ts';
import type { Delivery } from './outbox.ts';

/** A folder that goes away with the test. */
export function testFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-delivery-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function testRelay(t: TestContext): Promise<FakeRelay> {
  const relay = await new FakeRelay().start();
  t.after(() => relay.stop());
  return relay;
}

/** What capture would do: numbers lines and puts them as chunks. */
export class Writer {
  readonly outbox: RunOutbox;
  readonly run: string;
  readonly options: DeliveryOptions;
  readonly warnings: string[] = [];
  readonly cancels: string[] = [];
  lines = 0;
  bytes = 0;
  #waiters: (() => void)[] = [];

  constructor(t: TestContext, options: Partial<DeliveryOptions> & { spoolDir: string }) {
    this.run = newUlid(Date.now());
    this.options = {
      run: this.run,
      task: 't1',
      websocketUrls: ['ws://127.0.0.1:9/ws/tasks'],
      workerId: 'w1',
      labels: { team: 'x' },
      agentVersion: '0.0.0',
      startedAt: 1_700_000_000_000,
      spoolLimitBytes: 1 << 30,
      overflow: 'drop-oldest',
      memoryLimitBytes: 64 << 20,
      reconnectMinMs: 5,
      reconnectMaxMs: 50,
      connectTimeoutMs: 5000,
      onWarning: (text) => {
        this.warnings.push(text);
        this.#look();
      },
      onCancel: (reason) => this.cancels.push(reason),
      now: () => 1_700_000_000_123,
      ...options,
    };
    this.outbox = startDelivery(this.options);
    this.outbox.onChange = () => this.#look();
    t.after(() => this.outbox.dispose());
  }

  /** One chunk of lines `line N`, each filled up to `width` with what hardly compresses. */
  put(count: number, width = 0): void {
    const lines = Array.from({ length: count }, (_, i) => ({
      time: 1_700_000_000_000 + this.lines + i,
      kind: kindOf('stdout', 'INFO'),
      text: Buffer.from(lineText(this.lines + i, width)),
    }));
    const chunk = encodeLines(this.run, this.lines, lines);
    this.bytes += lines.reduce((sum, { text }) => sum + text.length + 1, 0);
    this.lines += count;
    this.outbox.put(chunk);
  }

  end(signal = new AbortController().signal): Promise<Delivery> {
    const { lines, bytes } = this;
    const result = {
      exitCode: 3,
      signal: null,
      reason: 'exited' as const,
      nextSeq: lines,
      lines,
      bytes,
      endedAt: 1_700_000_001_000,
    };
    return this.outbox.end(result, signal);
  }

  /** Resolves when `is` is true; looks whenever the outbox has changed or warned. */
  async until(is: () => boolean): Promise<void> {
    while (!is()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  #look(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

export function lineText(seq: number, width = 0): string {
  const text = `line ${seq}`;
  let noise = '';
  for (let x = seq + 1; noise.length + text.length + 1 < width;) {
    x = (x * 1_103_515_245 + 12_345) % 2_147_483_648;
    noise += x.toString(36);
  }
  return noise === '' ? text : `${text} ${noise}`;
}

/** `line from` to `line to`, both inclusive. */
export function lineTexts(from: number, to: number, width = 0): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => lineText(from + i, width));
}
