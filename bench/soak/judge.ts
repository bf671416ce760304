import { figure, median } from '../table.ts';
import { COLUMNS, type Column, type Sample } from './sample.ts';

/** What became of one column after the warm-up. */
export interface Judgement {
  name: string;
  /** The medians of the first and the last third of what is judged. */
  first: number;
  last: number;
  /** What a straight line through all of it climbs from its first to its last sample. */
  climb: number;
  allowed: number;
  /** Whether it grew too much, or can't be judged since it mostly was no number. */
  bad: boolean;
  /** What was found, in words. */
  says: string;
}

/** Of a soak, this share is warm-up. */
const WARM_UP = 1 / 3;
/** What is judged must have some length: pools fill, and V8 sizes its heap, for minutes. */
export const MIN_JUDGED_SECONDS = 180;
export const MIN_JUDGED_SAMPLES = 12;

/**
 * Whether anything grew that should not. A column has grown if both a line through its samples (least squares) climbs by
 * more than is allowed and the median of the last third is above that of the first by more than that: one alone may be
 * an outlier or a wave. Undefined if there is too little to judge.
 */
export function judge(samples: readonly Sample[], columns: readonly Column[] = COLUMNS): Judgement[] | undefined {
  const judged = samples.slice(Math.ceil(samples.length * WARM_UP));
  if (judged.length < MIN_JUDGED_SAMPLES) return undefined;
  const seconds = judged[judged.length - 1].at - judged[0].at;
  if (seconds < MIN_JUDGED_SECONDS) return undefined;
  return columns.flatMap(({ key, name, unit, mayGrow }) => {
    if (mayGrow === undefined) return [];
    const known = judged.filter((sample) => Number.isFinite(sample[key]));
    if (known.length < judged.length / 2) {
      const says = `${name} could be seen in only ${known.length} of ${judged.length} samples`;
      return [{ name, first: NaN, last: NaN, climb: NaN, allowed: NaN, bad: true, says }];
    }
    const third = Math.floor(known.length / 3);
    const values = known.map((sample) => sample[key]);
    const [first, last] = [median(values.slice(0, third)), median(values.slice(-third))];
    const climb =
      slope(
        known.map(({ at }) => at),
        values,
      ) * seconds;
    const allowed = Math.max(mayGrow.by, mayGrow.share * first);
    const bad = Math.min(last - first, climb) > allowed;
    const measured = `from ${figure(first)} to ${figure(last)}${unit && ` ${unit}`} in ${Math.round(seconds / 60)} min`;
    const says = bad
      ? `${name} grew ${measured}, which is more than ${figure(allowed)} and goes on (a line through it climbs by ${figure(climb)})`
      : `${name}: ${measured}`;
    return [{ name, first, last, climb, allowed, bad, says }];
  });
}

/** Of the least-squares line, y for each x. */
function slope(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  const over = x.reduce((sum, value, i) => sum + (value - meanX) * (y[i] - meanY), 0);
  const under = x.reduce((sum, value) => sum + (value - meanX) ** 2, 0);
  return under === 0 ? 0 : over / under;
}
