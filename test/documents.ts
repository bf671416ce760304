/** What a document names that has to be there. */
export interface Mention {
  kind: 'path' | 'script' | 'symbol' | 'option' | 'link';
  name: string;
}

/**
 * What a Markdown document names: in code, files and folders of the project, scripts of npm, symbols (`Store`,
 * `takeLock`, `STORE_FULL`, `KERUTA_TASK_ID`) and options of our programs; and links to other files.
 * `folders` are those at the project's top, without which `a/b` is no path of ours.
 */
export function mentions(markdown: string, folders: readonly string[]): Mention[] {
  const found: Mention[] = [];
  const add = (kind: Mention['kind'], name: string): void => {
    if (!found.some((one) => one.kind === kind && one.name === name)) found.push({ kind, name });
  };
  const { spans, blocks, prose } = codeIn(markdown);
  for (const [, target] of prose.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) if (!/^\w+:/.test(target)) add('link', target);
  for (const span of spans) {
    if (isPath(span, folders)) add('path', span);
    else if (SYMBOL.test(span)) add('symbol', span.replace(/\(\)$/, ''));
    else if (/^--[a-z]/.test(span)) add('option', optionsIn(span)[0]);
  }
  for (const line of [...spans, ...blocks]) {
    for (const [, name] of line.matchAll(/\bnpm run ([\w:-]+)/g)) add('script', name);
    for (const [name] of line.matchAll(/\bKERUTA_[A-Z_]*[A-Z]\b/g)) add('symbol', name);
    for (const [, file] of line.matchAll(/(?:^|\s|=)([\w./-]+)(?=$|\s)/g)) {
      if (file.includes('/') && isPath(file, folders)) add('path', file);
    }
    // A comment behind a command, and what our programs run for the user, have options of their own.
    const ours = /^.*\b(?:keruta-(?:agent|relay)|npm run (?:agent|relay|bench|demo))\b(.*)$/.exec(line)?.[1] ?? '';
    for (const name of optionsIn(ours.replace(/^ -- /, ' ').replace(/( -- | #).*$/, ''))) add('option', name);
  }
  return found;
}

/** A type or class, a function or member of several words, a constant. Single words are anybody's. */
const SYMBOL = /^(?:[A-Z][a-z]\w*|[a-z]+(?:[A-Z][a-z0-9]*)+(?:\(\))?|[A-Z]+(?:_[A-Z]+)+)$/;

function isPath(text: string, folders: readonly string[]): boolean {
  if (!/^[\w.@-]+(?:\/[\w.*@-]+)*\/?$/.test(text)) return false;
  const [first, ...rest] = text.split('/');
  if (rest.length > 0) return folders.includes(first);
  return /\.(?:ts|md|json|ya?ml|sh)$/.test(text);
}

function optionsIn(text: string): string[] {
  return Array.from(text.matchAll(/(?<=^|[\s[(|])--[a-z][a-z\d-]*[a-z\d]\b/g), ([name]) => name);
}

/** Inline code, the lines of code blocks, and all else. */
function codeIn(markdown: string): { spans: string[]; blocks: string[]; prose: string } {
  const spans: string[] = [];
  const blocks: string[] = [];
  const prose: string[] = [];
  let inBlock = false;
  for (const line of markdown.split('\n')) {
    if (/^\s*(?:```|~~~)/.test(line)) inBlock = !inBlock;
    else if (inBlock) blocks.push(line);
    else {
      for (const [, span] of line.matchAll(/`([^`]+)`/g)) spans.push(span);
      prose.push(line);
    }
  }
  return { spans, blocks, prose: prose.join('\n') };
}
