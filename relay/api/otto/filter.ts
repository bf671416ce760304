import { KerutaError } from '../../../shared/errors.ts';
import { compileFilter, type Filter, type FilterSpec } from '../../filter.ts';
import { readFilter, readList } from '../filter-query.ts';

/** What of a log a client wants, as Otto's clients say it. */
export class OttoFilter {
  /** What of it was understood, as it was given. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly #spec: FilterSpec;
  readonly #tasks: ReadonlySet<string> | undefined;

  /**
   * Of `{levels?, sources?, keywords?, startTime?, endTime?, workerIds?, taskIds?}`: all that is there must hold, and an
   * empty list is none. Other members are let pass. Throws a KerutaError INVALID_INPUT that names what can't be read.
   */
  constructor(given: unknown) {
    this.given = membersOf(objectOf(given));
    const { levels, sources, keywords, startTime, endTime, workerIds, taskIds } = this.given;
    const words = { from: 'startTime', to: 'endTime', q: 'keywords' } as const;
    const input = { levels, sources, from: startTime, to: endTime, q: textsOf(keywords, 'keywords') };
    this.#spec = { ...readFilter(input, words), workers: textsOf(workerIds, 'workerIds') };
    const tasks = textsOf(taskIds, 'taskIds');
    this.#tasks = tasks.length > 0 ? new Set(tasks) : undefined;
  }

  /** Whether lines of the task are wanted at all. */
  showsTask(task: string): boolean {
    return this.#tasks?.has(task) !== false;
  }

  /** For a stream of one task; of one that is not wanted, it lets nothing through. */
  on(task: string): Filter {
    if (this.showsTask(task)) return compileFilter(this.#spec);
    return { ...compileFilter({ from: END_OF_TIME }), key: 'nothing', showsGap: () => false };
  }

  /** For a stream of many tasks; which of them, `showsTask` says. */
  onAll(): Filter {
    return compileFilter(this.#spec);
  }
}

/** The filter of a query string, which may name each list in the singular, too, and several times. */
export function queryFilter(query: Readonly<Record<string, string | string[] | undefined>>): OttoFilter {
  const list = (one: string, many: string): string[] => [...readList(query[one], one), ...readList(query[many], many)];
  return new OttoFilter({
    levels: list('level', 'levels'),
    sources: list('source', 'sources'),
    keywords: list('keyword', 'keywords'),
    startTime: query.startTime,
    endTime: query.endTime,
    workerIds: list('workerId', 'workerIds'),
    taskIds: list('taskId', 'taskIds'),
  });
}

function membersOf(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(MEMBERS.flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]])));
}

function objectOf(given: unknown): Record<string, unknown> {
  if (given === undefined || given === null) return {};
  if (typeof given === 'object' && !Array.isArray(given)) return given as Record<string, unknown>;
  throw new KerutaError('INVALID_INPUT', 'The filter must be an object such as {"levels":["ERROR"]}.');
}

/** Texts that are given as a list, each as it is, or as one text separated by commas. Empty ones don't count. */
function textsOf(value: unknown, name: string): string[] {
  if (!Array.isArray(value)) return readList(value, name);
  if (value.length > MAX_VALUES) throw new KerutaError('INVALID_INPUT', `${name} has more than ${MAX_VALUES} values.`);
  return value.filter((one: unknown): one is string => {
    if (typeof one !== 'string') throw new KerutaError('INVALID_INPUT', `${name} must be text, or a list of texts.`);
    return one !== '';
  });
}

const MEMBERS = ['levels', 'sources', 'keywords', 'startTime', 'endTime', 'workerIds', 'taskIds'] as const;
/** The last moment that a Date has: no line is from then. */
const END_OF_TIME = 8.64e15;
/** Of one list: a person's filters are a handful. */
const MAX_VALUES = 100;
