import { Random } from '../random.ts';
import type { Entrance, StormSender } from './contract.ts';
import { KeyedPostSender, NumberedPostSender } from './senders/posts.ts';
import type { Sender, SenderOptions } from './senders/sender.ts';
import { SocketSender } from './senders/sockets.ts';
import { WorkerSender } from './senders/worker.ts';

/** Senders of every API, who begin at once, each with a task of its own. */
export function openSenders({ entrance, seed }: SendersOptions): StormSender[] {
  const random = new Random(seed ^ 0x5e4d);
  return Object.entries(SENDERS).map(([task, { name, open }]) => open({ entrance, name, task, seed, random }).start());
}

/** The tasks that they write. */
export function sentTasks(): string[] {
  return Object.keys(SENDERS);
}

export interface SendersOptions {
  entrance: Entrance;
  /** At most 1,000,000. */
  seed: number;
}

const SENDERS: Record<string, { name: string; open: (options: SenderOptions) => Sender }> = {
  'sent-keyed': { name: 'posts with keys', open: (options) => new KeyedPostSender(options) },
  'sent-numbered': { name: 'numbered posts', open: (options) => new NumberedPostSender(options) },
  'sent-flat': { name: 'JSON WebSocket', open: (options) => new SocketSender({ ...options, nested: false }) },
  'sent-nested': { name: 'nested WebSocket', open: (options) => new SocketSender({ ...options, nested: true }) },
  'sent-worker': { name: 'gRPC worker', open: (options) => new WorkerSender({ ...options, handler: false }) },
  'sent-handler': { name: 'gRPC handler', open: (options) => new WorkerSender({ ...options, handler: true }) },
};
