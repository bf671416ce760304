interface Launched {
  /** The program, as its messages call it. */
  name: string;
  /** The oldest Node.js that will do, `major.minor`. */
  node: string;
}

/**
 * What `keruta-agent` is: a POSIX shell script that starts Node with the flags that can't be set from inside. Of
 * `newFlags` one is unknown to an older Node, which would stop at it; then the version is looked at first, which takes
 * 4 ms. Else the entry does it (below).
 */
export function launcher({ name, node, entry, flags, newFlags, pipes = false }: Launched & Launcher): string {
  return `#!/bin/sh
# npm starts this by a symbolic link; what it needs lies beside the file itself.
case $0 in */*) self=$0 ;; *) self=./$0 ;; esac
while [ -h "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=\${self%/*}/$link ;; esac
done

if ! command -v node >/dev/null 2>&1; then
  echo "${name} needs Node.js ${node} or newer, and there is no node in PATH." >&2
  exit 2
fi
${newFlags ? versionCheck(name, node) : ''}
${pipes ? PIPES : ''}exec node ${flags.join(' ')} "\${self%/*}/${entry}" "$@"
`;
}

interface Launcher {
  entry: string;
  flags: string[];
  newFlags: boolean;
  /** Leaves two pipes to `execute`, at 3 and 4 (agent/pipes.ts). */
  pipes?: boolean;
}

/**
 * Most shells make a pipe of a short here-document, without starting a process for it. Where one can't, the agent makes
 * its own. With `command` a shell goes on after that.
 */
const PIPES = `if [ "$1" = execute ] && { command exec 3<<3 4<<4; } 2>/dev/null
3
4
then
  export KERUTA_PIPES=$$
fi
`;

function versionCheck(name: string, node: string): string {
  const [major, minor] = node.split('.');
  return `
version=$(node --version)
digits=\${version#v}
major=\${digits%%.*}
minor=\${digits#*.}
minor=\${minor%%.*}
if [ "$major" -lt ${major} ] || { [ "$major" -eq ${major} ] && [ "$minor" -lt ${minor} ]; }; then
  echo "${name} needs Node.js ${node} or newer; the node in PATH is $version." >&2
  exit 2
fi
`;
}

/**
 * The module that Node is started with, in words that any Node with modules understands: a bundle started by hand on
 * an old Node says so, instead of failing at the first thing that it lacks. `main` is the module with the program.
 *
 * What V8 makes of the code is kept beside it, which saves a tenth of a short run. It is code that is run, so it must be
 * no easier to change than the program: each user has a folder of his own for it. Where nobody may write, or for another
 * Node than the one that wrote, it is as without.
 */
export function entryScript({ name, node, main }: Launched & { main: string }): string {
  return `${refusal(name, node)}
var builtin = process.getBuiltinModule;
var fs = builtin('fs');
var folder = import.meta.dirname + '/.cache';
${TRUST}
try {
  var own = folder + '/${name}-' + process.getuid();
  fs.mkdirSync(folder, { recursive: true, mode: 0o755 });
  fs.mkdirSync(own, { recursive: true, mode: 0o700 });
  if (trusted(fs.lstatSync(folder), 'd') && trusted(fs.lstatSync(own), 'd'))
    builtin('module').enableCompileCache(own);
} catch {
  // It goes without.
}
import('./${main}');
`;
}

/**
 * Whether only those may write to a folder (d) or a file (f) who may change the program, too: its owner and root; or who
 * runs it.
 */
const TRUST = `
function trusted(stat, type) {
  var uids = [0, process.getuid(), fs.statSync(import.meta.dirname).uid];
  return (type === 'd' ? stat.isDirectory() : stat.isFile()) && uids.includes(stat.uid) && (stat.mode & 0o022) === 0;
}`;

/**
 * The same for a program that passes SIGUSR1 on to another, and whose `main` is one script (scripts/lean-agent.ts).
 *
 * Node's own cache knows of the first run only what it keeps for all later ones. Here `execute` has one of its own, so
 * that it has what a run needs, whatever came first. A name says which build and which Node it is of; V8 looks
 * at its own version and flags again. Behind the bytes stands their CRC-32: what is damaged must not be run. Nor must
 * what somebody else may have put there: one user's cache serves others only if that user may change the program.
 */
export function cachedEntryScript({ name, node, main, build }: Launched & { main: string; build: string }): string {
  return `// Node opens its inspector at a SIGUSR1 that has no listener. This one is there before anything else and stays.
process.on('SIGUSR1', function () {});
${refusal(name, node)}
var builtin = process.getBuiltinModule;
var fs = builtin('fs');
var Script = builtin('vm').Script;
var crc32 = builtin('zlib').crc32;
var file = import.meta.dirname + '/${main}';
var folder = import.meta.dirname + '/.cache';
var command = process.argv[2] === 'execute' ? 'execute' : 'others';
var kept = [folder + '/' + command, '${build}', process.version, process.arch].join('-');
${TRUST}

function cached() {
  var fd;
  try {
    fd = fs.openSync(kept, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
    if (!trusted(fs.lstatSync(folder), 'd') || !trusted(fs.fstatSync(fd), 'f')) return undefined;
    var bytes = fs.readFileSync(fd);
    var end = bytes.length - 4;
    return bytes.readUInt32LE(end) === crc32(bytes.subarray(0, end)) ? bytes.subarray(0, end) : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

function keep() {
  var own = kept + '.' + process.pid;
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o755 });
    fs.accessSync(folder, fs.constants.W_OK);
    if (!trusted(fs.lstatSync(folder), 'd')) return;
    var bytes = script.createCachedData();
    var crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32(bytes));
    fs.writeFileSync(own, Buffer.concat([bytes, crc]), { flag: 'wx', mode: 0o644 });
    fs.renameSync(own, kept);
  } catch {
    // It goes without; half of it, where there is no room, must not stay.
    try {
      fs.unlinkSync(own);
    } catch {
      // There is none.
    }
  }
}

// What esbuild writes is ASCII.
var source = fs.readFileSync(file, 'latin1');
var cachedData = cached();
var script = new Script(source, { filename: file, cachedData: cachedData });
if (cachedData === undefined || script.cachedDataRejected) process.on('exit', keep);
script.runInThisContext()(builtin('module').createRequire(import.meta.url), file);
`;
}

function refusal(name: string, node: string): string {
  const [major, minor] = node.split('.');
  return `var version = process.versions.node.split('.');
if (+version[0] < ${major} || (+version[0] === ${major} && +version[1] < ${minor})) {
  process.stderr.write('${name} needs Node.js ${node} or newer; this is ' + process.version + '.\\n');
  process.exit(2);
}`;
}
