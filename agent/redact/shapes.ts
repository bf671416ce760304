import { ALNUM, ALNUM_DASH, DOT, UPPER_DIGIT, WORD, WORD_DASH, WORD_DASH_DOT } from './byte-class.ts';

/**
 * A token that is known by its shape: a prefix, then as many bytes of each step's class as there are (no more than
 * its max), at least its min. The last step has no max: the token ends where its class ends. Nothing is asked of what
 * stands before the prefix: it may be a colour sequence or an escaped newline.
 */
export interface Shape {
  prefix: string;
  steps: readonly Step[];
}

interface Step {
  /** A bit of byte-class.ts. */
  bit: number;
  min: number;
  max: number;
}

/** The longest JWT header that is recognised; certificates in one take some KiB. It bounds what has to be held. */
export const MAX_JWT_HEADER_BYTES = 8192;

export const SHAPES: readonly Shape[] = [
  // keruta's own API keys.
  ...each(['krt_'], ALNUM, 69),
  // GitHub: personal, OAuth, user-to-server, server-to-server, refresh, fine-grained.
  ...each(['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'github_pat_'], WORD, 36),
  // AWS access key ids: long-lived, temporary, bearer, context-specific.
  ...each(['AKIA', 'ASIA', 'ABIA', 'ACCA'], UPPER_DIGIT, 16),
  // Slack.
  ...each(['xoxa-', 'xoxb-', 'xoxc-', 'xoxd-', 'xoxe-', 'xoxp-', 'xoxr-', 'xoxs-', 'xapp-'], ALNUM_DASH, 10),
  // Google: API key, OAuth access token, OAuth client secret.
  ...each(['AIza'], WORD_DASH, 35),
  ...each(['ya29.'], WORD_DASH_DOT, 20),
  ...each(['GOCSPX-'], WORD_DASH, 28),
  // GitLab: personal, deploy, runner, pipeline trigger, CI job.
  ...each(['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glcbt-'], WORD_DASH_DOT, 20),
  // npm, PyPI, Docker Hub.
  ...each(['npm_'], ALNUM, 36),
  ...each(['pypi-AgEI'], WORD_DASH, 32),
  ...each(['dckr_pat_'], WORD_DASH, 20),
  // Stripe.
  ...each(['sk_live_', 'rk_live_'], ALNUM, 16),
  // JWT, JWE and what signs like them: base64url of `{"…`, a dot, at least 8 more bytes. What follows is part of it.
  {
    prefix: 'eyJ',
    steps: [
      { bit: WORD_DASH, min: 8, max: MAX_JWT_HEADER_BYTES },
      { bit: DOT, min: 1, max: 1 },
      { bit: WORD_DASH_DOT, min: 8, max: Infinity },
    ],
  },
];

function each(prefixes: string[], bit: number, min: number): Shape[] {
  return prefixes.map((prefix) => ({ prefix, steps: [{ bit, min, max: Infinity }] }));
}
