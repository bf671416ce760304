import { decodeCursor } from '../../../shared/cursor.ts';
import { KerutaError } from '../../../shared/errors.ts';
import type { Batch } from '../../cursor.ts';
import type { Reader } from '../../reader.ts';
import { renderBatch, type Style } from './render.ts';
import type { Beginning, Follower, Rendered, Stream } from './stream.ts';
import type { Subscribe } from './subscribe.ts';

/** The lines of one task that a subscription asks for. */
export class TaskStream implements Stream<Batch> {
  readonly target: { taskId: string };
  readonly #reader: Reader;
  readonly #subscribe: Subscribe;
  #style: (Style & { epoch: string }) | undefined;

  constructor(options: { task: string; subscribe: Subscribe; reader: Reader }) {
    this.target = { taskId: options.task };
    this.#reader = options.reader;
    this.#subscribe = options.subscribe;
  }

  async begin(place: number | undefined, signal: AbortSignal): Promise<Beginning> {
    const { taskId } = this.target;
    const head = await this.#reader.head(taskId);
    if (head === undefined && !this.#subscribe.realtime) {
      throw new KerutaError('TASK_NOT_FOUND', `There is no task ${JSON.stringify(taskId)}.`);
    }
    const nextLine = head?.nextLine ?? 1;
    return {
      place: this.#subscribe.start === undefined ? (place ?? nextLine) : await this.#firstLine(nextLine, signal),
      extent: { firstLine: (head?.trimmedLine ?? 0) + 1, lastLine: nextLine - 1 },
    };
  }

  follow(from: number, signal: AbortSignal): AsyncGenerator<Batch, void, undefined> {
    const { filter, expectRuns, realtime } = this.#subscribe;
    return this.#reader.follow(this.target.taskId, { from, filter, expectRuns, untilHead: !realtime, signal });
  }

  render(batch: Batch): Rendered {
    const epoch = this.#reader.epoch();
    // Epochs change once in a store's life, if at all.
    if (this.#style?.epoch !== epoch) {
      const { batch: inArrays, filter } = this.#subscribe;
      const key = `keruta ${inArrays ? 'batch' : 'single'} ${epoch} ${filter.key}`;
      this.#style = { epoch, key, task: this.target.taskId, batch: inArrays, cursors: this.#reader.cursors() };
    }
    return { frames: renderBatch(batch, this.#style), next: batch.nextLine };
  }

  took(batch: Batch): void {
    this.#reader.followed.took(batch);
  }

  join(follower: Follower): () => void {
    const place = {
      get nextLine() {
        return follower.place;
      },
    };
    return this.#reader.followed.join(this.target.taskId, place);
  }

  cursor(line: number): string {
    return this.#reader.cursors()(line);
  }

  #firstLine(nextLine: number, signal: AbortSignal): Promise<number> | number {
    const { taskId: task } = this.target;
    const { start, filter } = this.#subscribe;
    if (start === undefined) return nextLine;
    if ('from' in start) return start.from === 'now' ? nextLine : this.#reader.place(task, start.from);
    if ('tail' in start) {
      return this.#reader.placeBefore(task, { before: nextLine, count: start.tail, filter, signal });
    }
    // A number would be taken for a line; behind a cursor goes on what that cursor's client has not seen yet.
    if (decodeCursor(start.after) === undefined) {
      throw new KerutaError('INVALID_CURSOR', `after is ${JSON.stringify(start.after)}, which is no cursor.`);
    }
    return this.#reader.place(task, start.after).then((line) => line + 1);
  }
}
