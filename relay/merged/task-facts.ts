/** What merged streams need to know of a task beside its lines. */
export interface TaskFacts {
  task: string;
  name: string | undefined;
  pipelineId: string | undefined;
  /** See `groupOf` in store/store.ts. */
  group: string;
  /** Of the newest run; permissions go by them. */
  labels: Readonly<Record<string, string>>;
}
