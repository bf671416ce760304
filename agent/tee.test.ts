import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Tee } from './tee.ts';

const folder = mkdtempSync(join(tmpdir(), 'keruta-tee-'));
after(() => rmSync(folder, { recursive: true }));

function fifo(name: string): string {
  const path = join(folder, name);
  execFileSync('mkfifo', [path]);
  return path;
}

const noError = (error: Error) => assert.fail(error);

describe('tee', () => {
  test('writes everything in order', async () => {
    const path = join(folder, 'file');
    const fd = openSync(path, 'w');
    const tee = new Tee(fd, noError);
    let expected = '';
    for (let i = 0; i < 500; i++) {
      tee.write(Buffer.from(`line ${i}\n`));
      expected += `line ${i}\n`;
    }
    await tee.flushed();
    closeSync(fd);
    assert.equal(readFileSync(path, 'utf8'), expected);
  });

  test('writes what a pipe has room for at once', async () => {
    const path = fifo('room');
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const fd = openSync(path, 'w');
    const tee = new Tee(fd, noError);
    let released = false;
    tee.write(Buffer.from('a line\n'), () => (released = true));
    const block = Buffer.alloc(100);
    assert.equal(block.toString('utf8', 0, readSync(reader, block)), 'a line\n');
    assert.ok(released);
    await tee.flushed();
    closeSync(fd);
    closeSync(reader);
  });

  test('is full while its reader does not read, and drains into one that begins to', async () => {
    const path = fifo('slow');
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const fd = openSync(path, 'w');
    const tee = new Tee(fd, noError);
    const drained = new Promise<void>((resolve) => (tee.onDrain = resolve));
    for (let i = 0; i < 32; i++) tee.write(Buffer.alloc(65_536, i));
    assert.equal(tee.full, true);
    const cat = spawn('cat', [], { stdio: [reader, 'pipe', 'inherit'] });
    let bytes = 0;
    cat.stdout?.on('data', (block: Buffer) => (bytes += block.length));
    await drained;
    assert.equal(tee.full, false);
    await tee.flushed();
    closeSync(fd);
    closeSync(reader);
    await new Promise((resolve) => cat.once('close', resolve));
    assert.equal(bytes, 32 * 65_536);
  });

  test('gives up a write that takes too long, if it may: nothing waits for it, and its bytes are not used again', async () => {
    const path = fifo('hangs');
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const fd = openSync(path, 'w');
    const errors: Error[] = [];
    const tee = new Tee(fd, (error) => errors.push(error), 50);
    const released: number[] = [];
    const drained = new Promise<void>((resolve) => (tee.onDrain = resolve));
    for (let i = 0; i < 100; i++) tee.write(Buffer.alloc(65_536, i), () => released.push(i));
    await drained;
    await tee.flushed();
    assert.equal(tee.full, false);
    assert.deepEqual(
      errors.map(({ message }) => message),
      ['it takes too long'],
    );
    // What one write takes is 64 buffers; those of the one under way are lost to us.
    assert.ok(released.length >= 35 && released.length < 100, `${released.length} released`);
    closeSync(reader);
    tee.write(Buffer.from('x'), () => released.push(-1));
    assert.equal(released.at(-1), -1);
  });

  test('waits for a full descriptor that somebody made non-blocking', async () => {
    const path = fifo('nonblocking');
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    const tee = new Tee(fd, noError);
    for (let i = 0; i < 8; i++) tee.write(Buffer.alloc(65_536, i));
    const cat = spawn('cat', [], { stdio: [reader, 'pipe', 'inherit'] });
    let bytes = 0;
    cat.stdout?.on('data', (block: Buffer) => (bytes += block.length));
    await tee.flushed();
    closeSync(fd);
    closeSync(reader);
    await new Promise((resolve) => cat.once('close', resolve));
    assert.equal(bytes, 8 * 65_536);
  });

  test('ends quietly when nobody reads any more', async () => {
    const path = fifo('gone');
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const fd = openSync(path, 'w');
    closeSync(reader);
    const tee = new Tee(fd, noError);
    tee.write(Buffer.from('a\n'));
    await tee.flushed();
    tee.write(Buffer.from('b\n'));
    await tee.flushed();
    assert.equal(tee.full, false);
    closeSync(fd);
  });

  test('says once that it can not write', async () => {
    const errors: string[] = [];
    const fd = openSync('/dev/full', 'w');
    const tee = new Tee(fd, (error) => errors.push(error.code ?? ''));
    tee.write(Buffer.from('a\n'));
    tee.write(Buffer.from('b\n'));
    await tee.flushed();
    closeSync(fd);
    assert.deepEqual(errors, ['ENOSPC']);
  });
});
