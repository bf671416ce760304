interface Launched {
  /** The program, as its messages call it. */
  name: string;
  /** The oldest Node.js that will do, `major.minor`. */
  node: string;
}

/**
 * What `keruta-agent` is: a POSIX shell script that starts Node with the flags that can't be set from inside. It looks
 * at the version first, since an older Node would stop at a flag that it doesn't know; `node --version` takes 4 ms.
 */
export function launcher({ name, node, entry, flags }: Launched & { entry: string; flags: string[] }): string {
  const [major, minor] = node.split('.');
  return `#!/bin/sh
# npm starts this by a symbolic link; what it needs lies beside the file itself.
case $0 in */*) self=$0 ;; *) self=./$0 ;; esac
while [ -h "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=\${self%/*}/$link ;; esac
done

version=$(node --version 2>/dev/null)
digits=\${version#v}
major=\${digits%%.*}
minor=\${digits#*.}
minor=\${minor%%.*}
case $major.$minor in
  *[!0-9.]* | .* | *.)
    echo "${name} needs Node.js ${node} or newer, and there is no node in PATH." >&2
    exit 2
    ;;
esac
if [ "$major" -lt ${major} ] || { [ "$major" -eq ${major} ] && [ "$minor" -lt ${minor} ]; }; then
  echo "${name} needs Node.js ${node} or newer; the node in PATH is $version." >&2
  exit 2
fi

exec node ${flags.join(' ')} "\${self%/*}/${entry}" "$@"
`;
}

interface Entry {
  /** The module with the program. */
  main: string;
  /** Whether the program passes SIGUSR1 on to another. */
  passesSignals: boolean;
}

/**
 * The module that Node is started with, in words that any Node with modules understands: a bundle started by hand on
 * an old Node says so, instead of failing at the first thing that it lacks.
 *
 * What V8 makes of the code is kept beside it, which saves a tenth of a short run: whoever can write there could as
 * well change the code itself. Where nobody may write, or for another Node than the one that wrote, it is as without.
 */
export function entryScript({ name, node, main, passesSignals }: Launched & Entry): string {
  const [major, minor] = node.split('.');
  // Node opens its inspector at a SIGUSR1 that has no listener. This one is there before anything else and stays.
  const listen = passesSignals ? "process.on('SIGUSR1', function () {});\n" : '';
  return `${listen}var version = process.versions.node.split('.');
if (+version[0] < ${major} || (+version[0] === ${major} && +version[1] < ${minor})) {
  process.stderr.write('${name} needs Node.js ${node} or newer; this is ' + process.version + '.\\n');
  process.exit(2);
}
process.getBuiltinModule('module').enableCompileCache(import.meta.dirname + '/.cache');
import('./${main}');
`;
}
