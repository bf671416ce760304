import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { joinOutputs, type Output } from './output.ts';

/** Keeps what it gets until it is told to let go. */
class Held implements Output {
  onDrain = (): void => undefined;
  full = false;
  text = '';
  readonly releases: (() => void)[] = [];

  write(bytes: Buffer, release: () => void = () => undefined): void {
    this.text += bytes.toString();
    this.releases.push(release);
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }
}

describe('outputs that are joined', () => {
  test('are none if there is none, and the one if there is one', () => {
    const one = new Held();
    assert.equal(joinOutputs([undefined, undefined]), undefined);
    assert.equal(joinOutputs([undefined, one]), one);
  });

  test('get the same bytes, which are released when the last one has let go', () => {
    const [a, b] = [new Held(), new Held()];
    let released = 0;
    joinOutputs([a, b])?.write(Buffer.from('x\n'), () => released++);
    assert.deepEqual([a.text, b.text], ['x\n', 'x\n']);
    a.releases[0]();
    assert.equal(released, 0);
    b.releases[0]();
    assert.equal(released, 1);
  });

  test('are full while one of them is, and each says when it has room again', () => {
    const [a, b] = [new Held(), new Held()];
    const joined = joinOutputs([a, b]) as Output;
    let drained = 0;
    joined.onDrain = () => drained++;
    b.full = true;
    assert.equal(joined.full, true);
    b.full = false;
    b.onDrain();
    assert.deepEqual([joined.full, drained], [false, 1]);
  });
});
