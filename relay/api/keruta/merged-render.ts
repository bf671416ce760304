import type { MergedGapMessage, PipelineEndMessage } from '../../../shared/viewer-messages.ts';
import type { MergedGap, MergedLines } from '../../merged/merged-event.ts';
import { pipelineStatus } from '../../pipelines/progress.ts';
import type { PipelineRecord } from '../../store/store.ts';
import { messageFrames } from './render.ts';
import { linesJson, type Cursors } from './shape.ts';

/** How one merged subscription wants it; lines are rendered once for all whose style has the same key. */
export interface MergedStyle {
  /** Of what else is here, and of the store's epoch and the filter. */
  key: string;
  /** A frame holds an array of messages. */
  batch: boolean;
  /** Of positions. */
  cursors: Cursors;
  /** Whose run it is, if that is known. */
  workerOf: (task: string, run: string) => string | undefined;
}

export function renderMergedLines(event: MergedLines, style: MergedStyle): Buffer {
  const { task, block, first, end } = event;
  const { key, batch, cursors } = style;
  const { name: taskName, pipelineId } = task;
  const about = JSON.stringify({ taskName, pipelineId });
  return block.rendered(`${first}-${end} ${about} ${key}`, () => {
    const members = about === '{}' ? '' : `,${about.slice(1, -1)}`;
    const suffix = suffixes(event, { members, workerOf: style.workerOf });
    return messageFrames(linesJson(event, { cursors, origin: block.position, prefix: '"type":"log",', suffix }), batch);
  });
}

/** The members behind those that all lines have. Mostly one run wrote the whole block. */
function suffixes(
  { block }: MergedLines,
  { members, workerOf }: Pick<MergedStyle, 'workerOf'> & { members: string },
): (index: number) => string {
  const ofRun = (run: string): string => {
    const workerId = workerOf(block.task, run);
    return workerId === undefined ? members : `${members},"workerId":${JSON.stringify(workerId)}`;
  };
  if (block.runs === undefined) {
    const suffix = ofRun(block.run);
    return () => suffix;
  }
  const known = new Map(block.runs.map(({ run }) => [run, ofRun(run)]));
  return (index) => known.get(block.runAt(index)) ?? members;
}

export function mergedGapMessage(gap: MergedGap, cursors: Cursors): MergedGapMessage {
  const { task, fromLine, toLine, fromPosition, toPosition, reason } = gap;
  const known = fromLine !== undefined && toLine !== undefined;
  return {
    type: 'gap',
    ...(task && { taskId: task.task }),
    ...(task?.pipelineId !== undefined && { pipelineId: task.pipelineId }),
    ...(fromLine !== undefined && { fromLine }),
    ...(toLine !== undefined && { toLine }),
    lines: known ? toLine - fromLine + 1 : toPosition - fromPosition + 1,
    reason,
    cursor: cursors(toPosition + 1),
  };
}

export function pipelineEndMessage(pipeline: PipelineRecord, cursor: string): PipelineEndMessage {
  const { pipelineId, tasks, statuses, runs, lines, missing } = pipeline;
  const status = pipelineStatus(pipeline);
  return { type: 'end', pipelineId, status, tasks, statuses, runs, lines, missing, cursor };
}
