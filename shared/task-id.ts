/** A task id: it stands in URLs, file names and tables. */
export const MAX_TASK_ID_BYTES = 256;

/** Why `taskId` can't be one, or undefined if it can. */
export function taskIdProblem(taskId: string): string | undefined {
  if (taskId === '') return 'is empty';
  const bytes = Buffer.byteLength(taskId);
  if (bytes > MAX_TASK_ID_BYTES) return `has ${bytes} bytes; ${MAX_TASK_ID_BYTES} are allowed`;
  if (/[\u0000-\u001f\u007f-\u009f]/.test(taskId)) return 'has control characters';
  if (!taskId.isWellFormed()) return 'is not well-formed Unicode';
  // URLs would take them for path steps, encoded or not.
  if (taskId === '.' || taskId === '..') return 'is a path step';
  return undefined;
}
