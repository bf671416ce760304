import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Agent, request } from 'undici';
import { generate } from 'selfsigned';
import { Output } from '../output.ts';
import { cleanEnv, temporaryFolder, type Context } from '../programs.ts';

const RELAY = fileURLToPath(new URL('../../relay/cli.ts', import.meta.url));
/** Lets in, and must never be seen again. */
export const TOKEN = 'tok-Zq9-of-the-fuzzed-relay';

/** A relay, as a process, that is asked what nobody should ask; and whether that did it any harm. */
export class Victim {
  readonly port: number;
  readonly grpcPort: number;
  readonly tls: boolean;
  readonly #pid: number;
  readonly #log: Output;
  readonly #client: Agent;
  #lines = 0;

  private constructor(parts: { port: number; grpcPort: number; tls: boolean; pid: number; log: Output }) {
    this.port = parts.port;
    this.grpcPort = parts.grpcPort;
    this.tls = parts.tls;
    this.#pid = parts.pid;
    this.#log = parts.log;
    this.#client = new Agent({ connect: { rejectUnauthorized: false } });
  }

  static async start(t: Context, { tls = false }: { tls?: boolean } = {}): Promise<Victim> {
    const folder = temporaryFolder(t);
    const files = tls ? await certificate(folder) : [];
    const args = [RELAY, '--port', '0', '--grpc-port', '0', '--data', join(folder, 'data'), '--log-level', 'trace'];
    const child = spawn(process.execPath, [...args, ...files], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnv({ KERUTA_RELAY_AUTH_TOKENS: TOKEN, KERUTA_RELAY_AUTH_FAILURES: '0' }),
      cwd: tmpdir(),
    });
    t.after(() => child.kill('SIGKILL'));
    const [stdout, log] = [new Output(child.stdout), new Output(child.stderr)];
    const [, port] = await stdout.has(/https?:\/\/[\d.]+:(\d+)\n/);
    const [, grpcPort] = await log.has(/"url":"https?:\/\/127\.0\.0\.1:(\d+)","msg":"gRPC is served"/);
    const victim = new Victim({ port: Number(port), grpcPort: Number(grpcPort), tls, pid: child.pid ?? 0, log });
    t.after(() => void victim.#client.destroy());
    // What is opened with the first line and stays open is no leak.
    await victim.serves();
    return victim;
  }

  /** A connection to it, or to its gRPC port, as bare as it can be. */
  async connect(port = this.port): Promise<Socket> {
    const options = { port, host: '127.0.0.1', allowHalfOpen: true };
    const socket = this.tls ? connectTls({ ...options, rejectUnauthorized: false }) : connect(options);
    socket.on('error', () => undefined);
    await once(socket, this.tls ? 'secureConnect' : 'connect');
    return socket;
  }

  /**
   * What it answers to these bytes, until it has closed the connection. `waits`: it has to do so by itself; else it is
   * told, after a while, that nothing follows.
   */
  async answer(bytes: Buffer | string, { waits = false, port = this.port } = {}): Promise<string> {
    const socket = await this.connect(port);
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(bytes);
    // Behind what somebody else asks it is likely to have got at these bytes, too.
    if (!waits) for (let i = 0; i < 2; i++) await this.ask('/health/live');
    if (!waits) socket.end();
    socket.once('end', () => socket.destroy());
    await closed;
    return Buffer.concat(parts).toString('latin1');
  }

  async ask(path: string, { method = 'GET', body }: { method?: 'GET' | 'POST'; body?: string } = {}) {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    };
    const url = `${this.tls ? 'https' : 'http'}://127.0.0.1:${this.port}${path}`;
    const answer = await request(url, { method, headers, body, dispatcher: this.#client });
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
  }

  /** Takes a line of somebody else's, and gives it back. */
  async serves(): Promise<void> {
    const message = `line ${++this.#lines}`;
    const body = JSON.stringify({ level: 'INFO', message });
    const posted = await this.ask('/api/v1/tasks/healthy/logs', { method: 'POST', body });
    assert.equal(posted.status, 201, posted.text);
    const read = await this.ask('/api/v1/tasks/healthy/logs?order=desc&size=1');
    assert.ok(read.text.includes(`"${message}"`), read.text);
  }

  get descriptors(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length;
  }

  /** Bytes of memory. */
  get rss(): number {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8')) ?? [];
    return Number(kilobytes) * 1024;
  }

  /** Resolves when it has no more descriptors open than that. */
  async letGo(descriptors: number): Promise<void> {
    while (this.descriptors > descriptors) await delay(20);
  }

  /**
   * It serves, has let go of what it had open, and its log is what it has to be: lines of JSON, each its own, with no
   * secret, nothing that is its own fault, and none that somebody else has put into it.
   */
  async isUnharmed(before: { descriptors: number }, forged: readonly string[] = []): Promise<void> {
    await this.serves();
    // The one connection of its own that the client keeps.
    await this.letGo(before.descriptors + 1);
    for (const line of this.#log.text.split('\n').slice(0, -1)) {
      const { level, time, msg } = JSON.parse(line) as { level: number; time: number; msg: string };
      assert.ok(Number.isInteger(time) && typeof msg === 'string' && level < 50, line);
      assert.ok(!line.includes(TOKEN), line);
      for (const text of forged) assert.notEqual(msg, text);
    }
  }
}

async function certificate(folder: string): Promise<string[]> {
  const pair = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec', algorithm: 'sha256' });
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(cert, pair.cert);
  writeFileSync(key, pair.private, { mode: 0o600 });
  return ['--tls-cert', cert, '--tls-key', key];
}
