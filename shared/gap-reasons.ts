/** Why lines are missing, by their byte in a gap's header (chunk.ts). Append only. */
export const GAP_REASONS = ['dropped', 'rejected', 'corrupt', 'trimmed', 'acked-then-lost', 'agent-died'] as const;
export type GapReason = (typeof GAP_REASONS)[number];
