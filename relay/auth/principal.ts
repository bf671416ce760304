import { KerutaError } from '../../shared/errors.ts';

/** What a token may be good for. `admin` may do everything. */
export const SCOPES = ['ingest', 'read', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** One permission: a scope, on all tasks or on those whose id and labels fit. */
export interface Grant {
  scope: Scope;
  /** Task ids, in which `*` stands for any characters. Absent: all. */
  tasks?: readonly string[];
  /** All of them must be labels of the task. Absent: whatever its labels are. */
  labels?: Readonly<Record<string, string>>;
}

/** A task as permissions see it. `labels` are absent where the task does not exist yet. */
export interface Subject {
  task: string;
  labels?: Readonly<Record<string, string>>;
}

/** Who makes a request, and what that one may do. */
export class Principal {
  /** For logs, and to count by: `anonymous`, `key:ci`, `jwt:alice`. Never a secret. */
  readonly name: string;
  /** When it stops being valid, ms since 1970. */
  readonly expiresAt: number | undefined;
  readonly grants: readonly Grant[];
  readonly #revoked: () => boolean;

  constructor(name: string, grants: readonly Grant[], { expiresAt, revoked = () => false }: Life = {}) {
    this.name = name;
    this.expiresAt = expiresAt;
    this.grants = grants;
    this.#revoked = revoked;
  }

  /** Whether what it was made from has been taken back since. */
  get revoked(): boolean {
    return this.#revoked();
  }

  /** Whether there is any task on which the scope is granted. */
  has(scope: Scope): boolean {
    return this.grants.some((grant) => grants(grant.scope, scope));
  }

  /** Whether the scope is granted on every task. */
  everywhere(scope: Scope): boolean {
    return this.grants.some(
      (grant) => grants(grant.scope, scope) && grant.tasks === undefined && grant.labels === undefined,
    );
  }

  /** Whether the scope is granted on this task. */
  may(scope: Scope, { task, labels = {} }: Subject): boolean {
    return this.grants.some(
      (grant) =>
        covers(grant, scope, task) &&
        Object.entries(grant.labels ?? {}).every(([name, value]) => labels[name] === value),
    );
  }

  /** Whether the scope is granted on a task of this id, if it has the right labels: for whoever can't know them yet. */
  mayIfLabelled(scope: Scope, task: string): boolean {
    return this.grants.some((grant) => covers(grant, scope, task));
  }

  /** Throws a KerutaError FORBIDDEN unless the scope is granted: on the task if one is given, else on all tasks. */
  require(scope: Scope, subject?: Subject): void {
    const granted = subject === undefined ? this.everywhere(scope) : this.may(scope, subject);
    if (!granted) throw forbidden(scope, subject?.task);
  }

  /** As `require`, where the labels of the task can't be known yet. */
  requireIfLabelled(scope: Scope, task: string): void {
    if (!this.mayIfLabelled(scope, task)) throw forbidden(scope, task);
  }
}

/** How long a principal is one. */
interface Life {
  expiresAt?: number;
  revoked?: () => boolean;
}

/** Whoever comes while no authentication is configured. */
export const ANYBODY = new Principal('anonymous', [{ scope: 'admin' }]);

function forbidden(scope: Scope, task: string | undefined): KerutaError {
  const where = task === undefined ? '' : ` on the task ${JSON.stringify(task)}`;
  return new KerutaError('FORBIDDEN', `The token does not grant ${scope}${where}.`);
}

function covers(grant: Grant, scope: Scope, task: string): boolean {
  return (
    grants(grant.scope, scope) && (grant.tasks === undefined || grant.tasks.some((pattern) => fits(task, pattern)))
  );
}

function grants(granted: Scope, wanted: Scope): boolean {
  return granted === wanted || granted === 'admin';
}

/** Whether a task id fits a pattern. The parts between stars are looked for from left to right, which takes linear time. */
function fits(task: string, pattern: string): boolean {
  const [first, ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return task === first;
  if (!task.startsWith(first) || !task.endsWith(last)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = task.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= task.length - last.length;
}
