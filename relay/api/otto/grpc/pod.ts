import { podLabels } from '../pod-metadata.ts';
import type { WorkerMetadataMessage } from './messages.ts';

/** What a worker says of its pod, as labels of its run: as many and as long as those of agents may be. */
export function podLabelsOf(metadata: WorkerMetadataMessage | null): Record<string, string> {
  if (metadata === null) return {};
  const { pod_name: podName, namespace, node_name: nodeName, created_at: createdAt, labels } = metadata;
  const given = Object.entries(podLabels({ podName, namespace, nodeName, createdAt, labels: {} }));
  const own = new Set(given.map(([name]) => name));
  const others = Object.entries(labels).filter(([name]) => !own.has(name));
  const fitting = [...given, ...others].filter(([name, value]) => name.length <= MAX_TEXT && value.length <= MAX_TEXT);
  return Object.fromEntries(fitting.slice(0, MAX_LABELS));
}

const MAX_LABELS = 64;
const MAX_TEXT = 1024;
