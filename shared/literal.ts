/**
 * A text that every line must contain which the regular expression `pattern` (RE2 syntax, no flags set outside of it)
 * can match, or '' if none is found. It is meant to be cheap and never wrong: where the syntax is not plain, it gives
 * up the run of characters or the whole pattern.
 */
export function requiredLiteral(pattern: string): string {
  // An alternative makes nothing required, flags may fold case, \Q quotes, (?x) does not exist.
  if (pattern.includes('(?') || pattern.includes('\\Q')) return '';
  // Bytes that are no UTF-8 read as U+FFFD, which then stands for other bytes than its own.
  if (!pattern.isWellFormed() || pattern.includes('\ufffd')) return '';
  let longest = '';
  let run = '';
  let depth = 0;
  const endRun = (): void => {
    if (run.length > longest.length) longest = run;
    run = '';
  };
  for (let at = 0; at < pattern.length;) {
    const token = nextToken(pattern, at);
    if (token === undefined) return '';
    at = token.end;
    if (token.kind === 'alternative' && depth === 0) return '';
    if (token.kind === 'open') depth++;
    if (token.kind === 'close') depth--;
    const quantifier =
      token.kind === 'open' ? '' : (QUANTIFIER.exec(pattern.slice(at, at + MAX_QUANTIFIER))?.[0] ?? '');
    at += quantifier.length;
    // What stands in a group may be optional or one of several: only the top level counts.
    if (token.kind !== 'character' || depth > 0) {
      if (token.kind !== 'empty') endRun();
    } else if (quantifier === '') {
      run += token.text;
    } else if (quantifier.startsWith('+')) {
      run += token.text;
      endRun();
      run = token.text;
    } else {
      endRun();
    }
  }
  endRun();
  return longest;
}

interface Token {
  /** `character` is one that is matched as it stands in `text`; `empty` matches between characters. */
  kind: 'character' | 'any' | 'open' | 'close' | 'alternative' | 'empty';
  text: string;
  end: number;
}

function nextToken(pattern: string, at: number): Token | undefined {
  const text = String.fromCodePoint(pattern.codePointAt(at) ?? 0);
  const end = at + text.length;
  switch (text) {
    case '\\':
      return escape(pattern, end);
    case '[': {
      // A class ends at the first ] that is neither its first member nor escaped nor part of [:name:].
      const body = /^\[\^?\]?(?:\[:\^?\w+:\]|\\[\s\S]|[^\]\\])*\]/.exec(pattern.slice(at))?.[0];
      return body === undefined ? undefined : { kind: 'any', text: '', end: at + body.length };
    }
    case '(':
      return { kind: 'open', text: '', end };
    case ')':
      return { kind: 'close', text: '', end };
    case '|':
      return { kind: 'alternative', text: '', end };
    case '^':
    case '$':
      return { kind: 'empty', text: '', end };
    case '.':
    case '*':
    case '+':
    case '?':
    case '{':
      return { kind: 'any', text: '', end };
    default:
      return { kind: 'character', text, end };
  }
}

function escape(pattern: string, at: number): Token | undefined {
  if (at >= pattern.length) return undefined;
  const character = pattern[at];
  if (/[.\\+*?()|[\]{}^$\-/:"'#%&,;<=>@_~` !]/.test(character))
    return { kind: 'character', text: character, end: at + 1 };
  if ('bBAz'.includes(character)) return { kind: 'empty', text: '', end: at + 1 };
  if ('dDsSwW'.includes(character)) return { kind: 'any', text: '', end: at + 1 };
  // \p{…}, \x{…}, octal and the like: too many to know all.
  return undefined;
}

const QUANTIFIER = /^(?:[?*+]|\{\d*,?\d*\})\??/;
const MAX_QUANTIFIER = 12;
