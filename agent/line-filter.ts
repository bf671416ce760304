import { RE2JS, RE2JSSyntaxException } from 're2js';
import { requiredLiteral } from '../shared/literal.ts';
import { agentOptions, type AgentConfig } from '../shared/options/agent-options.ts';
import type { Origin, Settings } from '../shared/options/resolve.ts';
import { UsageError } from '../shared/options/usage-error.ts';

/** Says by its text whether a line is shipped: if an include pattern is found in it (or there is none), and no exclude pattern. */
export class LineFilter {
  readonly #exclude: readonly LinePattern[];
  readonly #include: readonly LinePattern[];

  constructor(patterns: { exclude: readonly LinePattern[]; include: readonly LinePattern[] }) {
    this.#exclude = patterns.exclude;
    this.#include = patterns.include;
  }

  /** `line` is the text without its line end. */
  keeps(line: Buffer): boolean {
    // Most lines are decided by their bytes; text is made of those only that an expression has to look at.
    let text: string | undefined;
    const found = ({ expression, literal }: LinePattern): boolean => {
      if (literal !== undefined && !line.includes(literal)) return false;
      text ??= line.toString();
      return expression.test(text);
    };
    return (this.#include.length === 0 || this.#include.some(found)) && !this.#exclude.some(found);
  }
}

interface LinePattern {
  /** Takes time in proportion to the line, whatever the pattern is. */
  expression: RE2JS;
  /** A line without it does not match. */
  literal: Buffer | undefined;
}

/** The filter that the configuration asks for. Throws a UsageError for a pattern that can't be read. */
export function compileFilter({ config, origins }: Settings<AgentConfig>): LineFilter {
  return new LineFilter({
    exclude: config.excludePatterns.map((pattern) => compile(pattern, origins.excludePatterns[0])),
    include: config.includePatterns.map((pattern) => compile(pattern, origins.includePatterns[0])),
  });
}

function compile(pattern: string, { name }: Origin): LinePattern {
  const literal = requiredLiteral(pattern);
  try {
    return { expression: RE2JS.compile(pattern), literal: literal === '' ? undefined : Buffer.from(literal) };
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    const problem = error.message.replace(/^error parsing regexp: /, '');
    const example = agentOptions.excludePatterns.kind.example;
    throw new UsageError(
      `${name}: ${JSON.stringify(pattern)} is no regular expression of RE2: ${problem}; for example: ${example}`,
    );
  }
}
