import type { FastifyInstance } from 'fastify';
import { KerutaError } from '../../../shared/errors.ts';
import type { Principal } from '../../auth/principal.ts';
import { readPipeline, visibleTo } from '../../pipelines/snapshot.ts';
import type { PipelineQuery, PipelineRecord } from '../../store/store.ts';
import { untilGone } from '../until-gone.ts';
import { pipelineCursor, readPipelinesQuery, type Query } from './query.ts';
import { GET_PIPELINE, LIST_PIPELINES } from './routes-pipelines-schemas.ts';
import type { RouteParts } from './routes-request.ts';
import { pipelineJson, pipelineWithTasksJson } from './shape-pipelines.ts';

export function addPipelineRoutes(app: FastifyInstance, { store }: RouteParts): void {
  app.get<{ Querystring: Query }>('/pipelines', { schema: LIST_PIPELINES }, async ({ query: given, caller }, reply) => {
    const signal = untilGone(reply);
    const query = readPipelinesQuery(given);
    const pipelines = await readablePipelines(store, { query, principal: caller.principal, signal });
    const content = pipelines.slice(0, query.limit);
    const last = content.at(-1);
    return {
      content: content.map(pipelineJson),
      size: query.limit,
      next: pipelines.length > query.limit && last !== undefined ? pipelineCursor(last.pipelineId) : null,
    };
  });

  app.get<{ Params: { pipelineId: string } }>('/pipelines/:pipelineId', { schema: GET_PIPELINE }, async (request) => {
    const { principal } = request.caller;
    requireAnywhere(principal);
    const { pipelineId } = request.params;
    const { pipeline, ...snapshot } = visibleTo(principal, await readPipeline(store, pipelineId));
    // To those who may see none of its tasks there is none.
    if (pipeline === undefined) {
      throw new KerutaError('PIPELINE_NOT_FOUND', `There is no pipeline ${JSON.stringify(pipelineId)}.`);
    }
    return pipelineWithTasksJson({ ...snapshot, pipeline });
  });
}

interface ListOptions {
  query: PipelineQuery;
  principal: Principal;
  signal: AbortSignal;
}

/** One more than the query's limit, if there are so many of which the caller may read a task. */
async function readablePipelines(
  store: RouteParts['store'],
  { query, principal, signal }: ListOptions,
): Promise<PipelineRecord[]> {
  requireAnywhere(principal);
  const wanted = query.limit + 1;
  if (principal.everywhere('read')) return store.pipelines({ ...query, limit: wanted });
  const found: PipelineRecord[] = [];
  const next: PipelineQuery = { ...query, limit: LOOKED_AT_ONCE };
  for (;;) {
    const pipelines = await store.pipelines(next);
    for (const { pipelineId } of pipelines) {
      signal.throwIfAborted();
      const { pipeline } = visibleTo(principal, await readPipeline(store, pipelineId));
      if (pipeline !== undefined) found.push(pipeline);
      if (found.length === wanted) return found;
    }
    const last = pipelines.at(-1);
    if (pipelines.length < LOOKED_AT_ONCE || last === undefined) return found;
    next.before = last.pipelineId;
  }
}

function requireAnywhere(principal: Principal): void {
  if (!principal.has('read')) principal.require('read');
}

/** Where some pipelines are not the caller's to see. */
const LOOKED_AT_ONCE = 200;
