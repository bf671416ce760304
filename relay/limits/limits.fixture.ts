import type { LimitsConfig } from './limits.ts';

/** Limits for a test: none, but those that are given. */
export function allowedLimits(given: Partial<LimitsConfig> = {}): LimitsConfig {
  return {
    maxConnections: 1000,
    addressConnections: 0,
    addressConnectsPerMinute: 0,
    addressRequestsPerMinute: 0,
    addressLinesPerSecond: 0,
    addressBytesPerSecond: 0,
    taskConnections: 0,
    taskLinesPerSecond: 0,
    taskBytesPerSecond: 0,
    tokenTasks: 0,
    ...given,
  };
}
