import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { takeLock } from './lock.ts';

describe('a lock', () => {
  let folder: string;
  let path: string;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keruta-lock-'));
    path = join(folder, 'data.lock');
  });
  afterEach(async () => {
    for (const child of children.splice(0)) await killed(child);
    rmSync(folder, { recursive: true });
  });

  /** Another process that holds the lock, once this resolves. */
  async function hold(): Promise<ChildProcess> {
    const module = JSON.stringify(new URL('./lock.ts', import.meta.url).href);
    const script = `
      const { takeLock } = await import(${module});
      takeLock(${JSON.stringify(path)}, { what: 'the data' });
      // Nobody here holds on to the lock, but the lock does.
      gc();
      console.log('held');
      setInterval(() => {}, 60_000);`;
    const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await once(child.stdout, 'data');
    return child;
  }

  async function killed(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  test('held by another process is refused with its pid and host', async () => {
    const child = await hold();
    assert.throws(() => takeLock(path, { what: 'the data' }), {
      message: `the data is already in use by process ${child.pid} on ${hostname()} (lock ${path})`,
    });
  });

  test('dies with its process, even by SIGKILL', async () => {
    await killed(await hold());
    takeLock(path, { what: 'the data' }).release();
  });

  test('held by this process is refused too', () => {
    const lock = takeLock(path, { what: 'the data' });
    assert.throws(() => takeLock(path, { what: 'the data' }), { message: new RegExp(`process ${process.pid} `) });
    lock.release();
  });

  test('is free after release, and a second release takes nothing from the next owner', async () => {
    const lock = takeLock(path, { what: 'the data' });
    lock.release();
    const child = await hold();
    lock.release();
    assert.throws(() => takeLock(path, { what: 'the data' }), { message: new RegExp(`process ${child.pid} `) });
  });

  test('is refused without a pid while its owner has not said who it is', async () => {
    await hold();
    rmSync(`${path}.owner`);
    assert.throws(() => takeLock(path, { what: 'the data' }), { message: /in use by another process/ });
  });

  test('leaves nothing beside its file when it is released', () => {
    takeLock(path, { what: 'the data' }).release();
    assert.deepEqual(readdirSync(folder), ['data.lock']);
  });

  test('takes over what an owner was writing that was killed', () => {
    writeFileSync(`${path}.owner.new`, '{"pid":');
    takeLock(path, { what: 'the data' }).release();
    assert.deepEqual(readdirSync(folder), ['data.lock']);
  });

  for (const [trouble, prepare] of [
    ['a folder in its place', () => mkdirSync(path)],
    ['a file that is no lock', () => writeFileSync(path, 'something of the user, longer than a header '.repeat(20))],
    ['no folder to be in', () => rmSync(folder, { recursive: true })],
  ] as const) {
    test(`that finds ${trouble} says so and names the path`, () => {
      prepare();
      assert.throws(
        () => takeLock(path, { what: 'the data' }),
        (error: Error) => error.message.startsWith("can't lock the data") && error.message.includes(path),
      );
      mkdirSync(folder, { recursive: true });
    });
  }
});

test('what can not be locked for want of a place for its owner leaves nothing behind', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'keruta-lock-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'lock');
  mkdirSync(`${path}.owner`);
  assert.throws(() => takeLock(path, { what: 'the thing' }), /^Error: can't lock the thing: /);
  assert.deepEqual(readdirSync(folder).sort(), ['lock', 'lock.owner']);
});
