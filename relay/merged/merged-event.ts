import type { GapReason } from '../../shared/gap-reasons.ts';
import type { Block } from '../block.ts';
import type { Matches } from '../filter.ts';
import type { Joined } from '../shares.ts';
import type { PipelineRecord } from '../store/store.ts';
import type { TaskFacts } from './task-facts.ts';

/** What a merged stream hands out: lines of several tasks in the order of the store. */
export type MergedEvent = MergedLines | MergedGap | MergedEnd;

export interface MergedLines {
  type: 'lines';
  task: TaskFacts;
  /** Its line with the index i has the position `block.position + i`. */
  block: Block;
  /** Indices in the block: the lines [first, end), or those of them in `matches`. */
  first: number;
  end: number;
  matches: Matches;
}

export interface MergedGap {
  type: 'gap';
  /** Absent where lines were trimmed and the stream is of everything: nobody knows any more whose they were. */
  task?: TaskFacts;
  /** Line numbers in the task, both missing. Of what was trimmed nobody knows the first one. */
  fromLine?: number;
  toLine?: number;
  /** Positions, both missing; of a task that was trimmed, others' lines may lie between them. */
  fromPosition: number;
  toPosition: number;
  reason: GapReason;
}

/** Of a stream of one group: no run of its tasks is open. If another one starts, more events follow. */
export interface MergedEnd {
  type: 'end';
  pipeline: PipelineRecord;
}

export interface MergedBatch {
  /** In order. May be empty: positions were passed and nothing matched. */
  events: readonly MergedEvent[];
  /** Everything below was handed out or is not wanted: the place to go on from. */
  nextPosition: number;
  /** Where other readers are given the same object: what is made of it for all of them. */
  joined?: Joined;
}
