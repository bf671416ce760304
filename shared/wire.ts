/**
 * The agent's link, `ws://…/ws/tasks/{taskId}` under this subprotocol. Chunks are binary frames, all else is one of
 * the JSON text frames in agent-message.ts and relay-message.ts.
 *
 *     agent                                relay
 *     hello ─────────────────────────────▶        who I am, what I know to be acknowledged
 *           ◀───────────────────────────── ready  where to go on, and the digest up to there
 *     chunk, chunk, … (binary) ──────────▶
 *           ◀─────────────────────────────  ack    cumulative: durable below nextSeq
 *           ◀───────────────────────────── refused  what came is not what was expected; go on from nextSeq
 *     progress ──────────────────────────▶        how far the run is, sent or not
 *     end ───────────────────────────────▶        the run is over: counts and digest
 *           ◀───────────────────────────── verified | unverified | ack (lines are missing: go on from nextSeq)
 *           ◀───────────────────────────── cancel at any time
 *           ◀───────────────────────────── drain  the relay is about to close; worth trying again after retryAfterMs
 *
 * After `refused` the relay drops frames until one starts at or below `nextSeq`, since what was under way before the
 * agent heard of it can only be wrong too. It knows where that ends by a ping that it sends just before `refused`:
 * what comes behind the pong was sent in answer, and is judged anew.
 *
 * Over HTTP, where no WebSocket gets through, the same is said in requests under /api/v1/tasks/{taskId}, one after the
 * other; with any failure the agent begins with another hello, as after a cut.
 *
 *     POST link            hello as JSON             201 {"session", "messages": [ready]}
 *     POST link/{session}  frames (link-frames.ts)   200 [ack, refused, verified, …]  all that came is settled by then
 *     DELETE link/{session}                          204
 *
 * The hello bears an Idempotency-Key, so that one which a proxy sends twice begins one session, and no second that would
 * fence it. A request without frames keeps the session alive and brings what the relay has to say; after 30 s of silence
 * the session is forgotten. Each request counts as the pong to what was asked in the answer before. Errors have the shape
 * that they have everywhere; 408 IDLE says that there is no such session any more.
 */
export const SUBPROTOCOL = 'keruta.chunk.v1';

/** A control message; chunks have their own limit. */
export const MAX_CONTROL_BYTES = 256 * 1024;

/** A ping goes out after this long without receiving anything, and no more often. */
export const PING_AFTER_MS = 10_000;
/** A peer of whom no byte came for this long is gone. Time in which we ourselves paused reading does not count. */
export const PEER_GONE_AFTER_MS = 30_000;

export const END_REASONS = ['exited', 'signalled', 'timeout', 'cancelled', 'not-started', 'agent-died'] as const;
export type EndReason = (typeof END_REASONS)[number];

export const DIGEST = /^[0-9a-f]{32}$/;
/** Names, ids and label texts in a message. */
export const MAX_TEXT_CHARACTERS = 1024;
