import { readFileSync, writeSync } from 'node:fs';
import { steadyNow, type Arm } from './arming.ts';

/** What the points of a thread call: acts where an arm says so, each arm once, having said it in the journal. */
export class Fuse {
  readonly #journal: number;
  readonly #arms = new Map<string, { arm: Arm; hits: number }[]>();

  constructor(arms: readonly Arm[], journal: number) {
    this.#journal = journal;
    for (const arm of arms) {
      const waiting = this.#arms.get(arm.point) ?? [];
      waiting.push({ arm, hits: 0 });
      this.#arms.set(arm.point, waiting);
    }
  }

  passed(point: string): void {
    const waiting = this.#arms.get(point);
    if (waiting === undefined) return;
    const now = steadyNow();
    const due = waiting.find((one) => now >= one.arm.notBefore && ++one.hits >= one.arm.hit);
    if (due === undefined) return;
    const left = waiting.filter((one) => one !== due);
    if (left.length > 0) this.#arms.set(point, left);
    else this.#arms.delete(point);
    this.#act(due.arm);
  }

  #act({ id, action, ms }: Arm): void {
    const entry = `${process.pid} ${id}\n`;
    // A thread that is started again has the same arms, and nobody would awaken a process that stops twice.
    if (`\n${readFileSync(`/proc/self/fd/${this.#journal}`, 'latin1')}`.includes(`\n${entry}`)) return;
    writeSync(this.#journal, entry);
    if (action === 'stop') process.kill(process.pid, 'SIGSTOP');
    else if (ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    if (action === 'kill') process.kill(process.pid, 'SIGKILL');
  }
}
