/**
 * The pod in which a worker runs, and how it is kept: as labels of the worker's run, by the names that agents give them
 * when Kubernetes tells them (KERUTA_POD_NAME, KERUTA_POD_NAMESPACE, KERUTA_NODE_NAME).
 */
export interface PodMetadata {
  podName: string;
  namespace: string;
  nodeName: string;
  /** As the worker wrote it. */
  createdAt: string;
  /** All other labels. */
  labels: Record<string, string>;
}

/** What the labels of a run say of its pod; undefined if they name none. Members that they do not name are empty. */
export function podMetadataOf(runLabels: Readonly<Record<string, string>>): PodMetadata | undefined {
  const { pod, namespace, node, podCreatedAt, ...labels } = runLabels as Partial<Record<string, string>>;
  if (pod === undefined && namespace === undefined && node === undefined) return undefined;
  return {
    podName: pod ?? '',
    namespace: namespace ?? '',
    nodeName: node ?? '',
    createdAt: podCreatedAt ?? '',
    labels: labels as Record<string, string>,
  };
}

/** The labels of a run in that pod; empty members are left out. */
export function podLabels({ podName, namespace, nodeName, createdAt, labels }: PodMetadata): Record<string, string> {
  const own = { pod: podName, namespace, node: nodeName, podCreatedAt: createdAt };
  const given = Object.entries(own).filter(([, value]) => value !== '');
  return { ...labels, ...Object.fromEntries(given) };
}
