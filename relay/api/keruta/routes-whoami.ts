import type { FastifyInstance } from 'fastify';
import { SCOPES, type Principal } from '../../auth/principal.ts';
import { iso } from '../iso.ts';
import { arrayOf, guardedErrors, jsonAnswer, objectOf, orNull, TEXT, TEXTS_BY_NAME, TIME } from '../openapi-schemas.ts';

/** Tells whoever asks who they are to the relay: what `keruta-agent doctor` shows of a token. */
export function addWhoamiRoute(app: FastifyInstance): void {
  app.get('/whoami', { schema: WHOAMI }, ({ caller }) => whoami(caller.principal));
}

function whoami({ name, grants, expiresAt }: Principal) {
  return {
    name,
    grants: grants.map(({ scope, tasks, labels }) => ({ scope, tasks: tasks ?? null, labels: labels ?? {} })),
    expiresAt: expiresAt === undefined ? null : iso(expiresAt),
  };
}

const GRANT = objectOf(
  {
    scope: { type: 'string', enum: SCOPES },
    tasks: { ...orNull(arrayOf(TEXT)), description: 'Patterns of task ids; null: all tasks' },
    labels: { ...TEXTS_BY_NAME, description: 'What a task must be labelled with' },
  },
  { title: 'Grant' },
);

const WHOAMI = {
  summary: 'Who the token says you are, and what it grants',
  tags: ['operation'],
  response: {
    200: jsonAnswer(
      'Who asks',
      objectOf({ name: TEXT, grants: arrayOf(GRANT), expiresAt: orNull(TIME) }, { title: 'Caller' }),
    ),
    ...guardedErrors(),
  },
};
