import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';

/**
 * The pipeline that one writes first, done with care: readline, an object a line, a secret check a line, 100 lines a
 * JSON message, one acknowledgement a message, and what is not acknowledged is kept. For comparison only.
 *
 *     node naive-agent.ts URL COMMAND…
 */
const BATCH_LINES = 100;
const MAX_UNACKED = 64;

const [url, ...command] = process.argv.slice(2);
const secrets = (process.env.NAIVE_SECRETS ?? '').split(',').filter((secret) => secret !== '');
const socket = new WebSocket(url, { perMessageDeflate: false });
await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));

const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
const lines = createInterface({ input: child.stdout, crlfDelay: Infinity });

let batch: { seq: number; time: number; source: string; level: string; message: string }[] = [];
let seq = 0;
let unacked = 0;
const waiting: (() => void)[] = [];

socket.on('message', () => {
  unacked--;
  for (const resolve of waiting.splice(0)) resolve();
});

for await (const line of lines) {
  let message = line;
  for (const secret of secrets) if (message.includes(secret)) message = message.replaceAll(secret, '***');
  if (!process.stdout.write(`${message}\n`)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  const level = /\b(DEBUG|INFO|WARN|ERROR)\b/.exec(message)?.[1] ?? 'INFO';
  batch.push({ seq: seq++, time: Date.now(), source: 'stdout', level, message });
  if (batch.length === BATCH_LINES) await send();
}
if (batch.length > 0) await send();
while (unacked > 0) await new Promise<void>((resolve) => waiting.push(resolve));
socket.close();

async function send(): Promise<void> {
  socket.send(JSON.stringify(batch));
  batch = [];
  unacked++;
  while (unacked >= MAX_UNACKED) await new Promise<void>((resolve) => waiting.push(resolve));
}
