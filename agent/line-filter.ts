import { RE2JS, RE2JSSyntaxException } from 're2js';
import { requiredLiteral } from '../shared/literal.ts';
import { agentOptions, type AgentConfig } from '../shared/options/agent-options.ts';
import type { Origin, Settings } from '../shared/options/resolve.ts';
import { UsageError } from '../shared/options/usage-error.ts';

/** Says by its text whether a line is shipped: if an include pattern is found in it (or there is none), and no exclude pattern. */
export class LineFilter {
  readonly #exclude: PatternSet;
  readonly #include: PatternSet | undefined;

  /** `include`: if absent, whatever is not excluded. */
  constructor(patterns: { exclude: PatternSet; include: PatternSet | undefined }) {
    this.#exclude = patterns.exclude;
    this.#include = patterns.include;
  }

  /** `line` is the text without its line end. */
  keeps(line: Buffer): boolean {
    // Most lines are decided by their bytes; text is made of those only that an expression has to look at.
    let made: string | undefined;
    const text = (): string => (made ??= line.toString());
    return (this.#include?.matches(line, text) ?? true) && !this.#exclude.matches(line, text);
  }
}

/** Patterns of which one has to be found. */
class PatternSet {
  readonly #patterns: readonly LinePattern[];

  constructor(patterns: readonly LinePattern[]) {
    this.#patterns = joined(patterns);
  }

  matches(line: Buffer, text: () => string): boolean {
    return this.#patterns.some(
      ({ expression, literal }) => (literal === undefined || line.includes(literal)) && expression.test(text()),
    );
  }
}

interface LinePattern {
  source: string;
  /** Takes time in proportion to the line, whatever the pattern is. */
  expression: RE2JS;
  /** A line without it does not match. */
  literal: Buffer | undefined;
}

/** Looking for so many literals takes as long as one expression. */
const MAX_LITERALS = 8;
/** Shorter ones are found in too many lines. */
const RARE_BYTES = 3;

/** The same in fewer: an expression of many alternatives is hardly slower than one of them. */
function joined(patterns: readonly LinePattern[]): readonly LinePattern[] {
  const alone = patterns.filter(({ literal }) => (literal?.length ?? 0) >= RARE_BYTES).slice(0, MAX_LITERALS);
  const others = patterns.filter((pattern) => !alone.includes(pattern));
  // What \Q quotes may go on behind the pattern.
  if (others.length < 2 || others.some(({ source }) => source.includes('\\Q'))) return patterns;
  const source = others.map((pattern) => `(?:${pattern.source})`).join('|');
  try {
    return [...alone, { source, expression: RE2JS.compile(source), literal: undefined }];
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    // Together they are too large, or name two groups alike.
    return patterns;
  }
}

/** The filter that the configuration asks for. Throws a UsageError for a pattern that can't be read. */
export function compileFilter({ config, origins }: Settings<AgentConfig>): LineFilter {
  const exclude = config.excludePatterns.map((pattern) => compile(pattern, origins.excludePatterns[0]));
  const include = config.includePatterns.map((pattern) => compile(pattern, origins.includePatterns[0]));
  return new LineFilter({
    exclude: new PatternSet(exclude),
    include: include.length === 0 ? undefined : new PatternSet(include),
  });
}

function compile(pattern: string, { name }: Origin): LinePattern {
  const literal = requiredLiteral(pattern);
  try {
    const expression = RE2JS.compile(pattern);
    return { source: pattern, expression, literal: literal === '' ? undefined : Buffer.from(literal) };
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    const problem = error.message.replace(/^error parsing regexp: /, '');
    const example = agentOptions.excludePatterns.kind.example;
    throw new UsageError(
      `${name}: ${JSON.stringify(pattern)} is no regular expression of RE2: ${problem}; for example: ${example}`,
    );
  }
}
