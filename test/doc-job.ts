/**
 * The job whose log the documents' programs read: `build-1` has steps and `lint-1` has checks, both tasks of
 * `release-1`. Each of its lines can be found in whatever a program prints around it.
 */
export const JOB_TASKS = [
  { task: 'build-1', word: 'step', count: 900 },
  { task: 'lint-1', word: 'check', count: 50 },
] as const;

/** The shell script of a task. Some of its lines are warnings. */
export function scriptOf({ word, count }: JobTask): string {
  const text = `${word} $i of ${count}`;
  const line = `case $i in *50) echo "WARN ${text}";; *) echo "${text}";; esac`;
  return `i=1; while [ $i -le ${count} ]; do ${line}; i=$((i+1)); done`;
}

/** The lines that a program is to show, by task: `build-1`, `release-1`, `warnings` (of build-1), or none. */
export function linesOf(shows: string | undefined): string[][] {
  return JOB_TASKS.map(({ task, word, count }) => {
    const lines = Array.from({ length: count }, (_, i) => `${word} ${i + 1} of ${count}`);
    switch (shows) {
      case task:
      case 'release-1':
        return lines;
      case 'warnings':
        return task === 'build-1' ? lines.filter((_, i) => (i + 1) % 100 === 50) : [];
      default:
        return [];
    }
  });
}

/** The lines of the job that stand in a text, by task, in the order in which they do. */
export function linesIn(text: string): string[][] {
  return JOB_TASKS.map(({ word, count }) => text.match(new RegExp(`\\b${word} \\d+ of ${count}\\b`, 'g')) ?? []);
}

type JobTask = (typeof JOB_TASKS)[number];
