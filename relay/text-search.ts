/**
 * Looks for substrings in a block of text, all hits at once. The text is copied into memory that all searches of a thread
 * share: what is loaded is there until the next one is.
 */
export class TextSearch {
  readonly #bytes: number;
  #folded = false;

  constructor(text: Uint8Array) {
    this.#bytes = text.length;
    need(text.length + BLOCK_BYTES);
    memory.set(text);
  }

  /**
   * Where the needle begins, in ascending order; hits may overlap. With `folded`, A to Z of the text are taken for a to z,
   * from then on for every needle: look for the others first. The answer is overwritten by the next one.
   */
  find(needle: Uint8Array, folded: boolean): Uint32Array {
    if (folded && !this.#folded) wasm.fold(this.#bytes);
    this.#folded ||= folded;
    const end = this.#bytes - needle.length + 1;
    if (end <= 0 || needle.length === 0) return NOWHERE;
    const needleAt = this.#bytes + BLOCK_BYTES;
    const hitsAt = aligned(needleAt + needle.length + BLOCK_BYTES);
    need(hitsAt + HIT_BYTES * end);
    memory.set(needle, needleAt);
    const [i, j] = rarest(needle);
    const hitsEnd = wasm.find(end, needleAt, needle.length, i, j, hitsAt);
    return new Uint32Array(memory.buffer, hitsAt, (hitsEnd - hitsAt) / HIT_BYTES);
  }
}

/** The places of the two bytes of a needle that logs have least: where both are right, all mostly is. */
function rarest(needle: Uint8Array): [i: number, j: number] {
  let [first, second] = [0, needle.length - 1];
  for (let at = 0; at < needle.length; at++) {
    if (rank(needle[at]) > rank(needle[first])) [first, second] = [at, first];
    else if (at !== first && (second === first || rank(needle[at]) > rank(needle[second]))) second = at;
  }
  return [first, second];
}

function rank(byte: number): number {
  const at = COMMON.indexOf(byte);
  return at === -1 ? COMMON.length : at;
}

/** What log text is made of, the most frequent first. */
const COMMON = Buffer.from(' e0t1ao2ni3r4s5l-:d6c78u9.mpfgh/_="y,wvbk[]xIEORTANSDLzjq');

function aligned(at: number): number {
  return Math.ceil(at / HIT_BYTES) * HIT_BYTES;
}

/** Has the memory be that large. */
function need(bytes: number): void {
  if (bytes <= memory.length) return;
  wasm.memory.grow(Math.ceil((bytes - memory.length) / PAGE_BYTES));
  memory = new Uint8Array(wasm.memory.buffer);
}

/**
 * Sixteen bytes at a time, several times as fast as JavaScript or a search by skipping, above all where there are many
 * hits:
 *
 *     (memory (export "memory") 8)
 *     (func (export "fold") (param $end i32) (local $at i32) (local $bytes v128)
 *       (loop $next
 *         (v128.store (local.get $at)
 *           (v128.or
 *             (local.tee $bytes (v128.load (local.get $at)))
 *             (v128.and
 *               (i8x16.lt_u (i8x16.sub (local.get $bytes) (i8x16.splat 'A')) (i8x16.splat 26))
 *               (i8x16.splat 0x20))))
 *         (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) 16)) (local.get $end)))))
 *     (func (export "find") (param $end i32) (param $needle i32) (param $length i32) (param $i i32) (param $j i32)
 *       (param $hits i32) (result i32) (local $from i32) (local $mask i32) (local $at i32) (local $k i32)
 *       (local $a v128) (local $b v128)
 *       (local.set $a (i8x16.splat (i32.load8_u (i32.add (local.get $needle) (local.get $i)))))
 *       (local.set $b (i8x16.splat (i32.load8_u (i32.add (local.get $needle) (local.get $j)))))
 *       (block $done (loop $blocks
 *         (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
 *         (local.set $mask (i8x16.bitmask (v128.and
 *           (i8x16.eq (v128.load (i32.add (local.get $from) (local.get $i))) (local.get $a))
 *           (i8x16.eq (v128.load (i32.add (local.get $from) (local.get $j))) (local.get $b)))))
 *         (block $none (loop $bits
 *           (br_if $none (i32.eqz (local.get $mask)))
 *           (local.set $at (i32.add (local.get $from) (i32.ctz (local.get $mask))))
 *           (br_if $none (i32.ge_u (local.get $at) (local.get $end)))
 *           (local.set $mask (i32.and (local.get $mask) (i32.sub (local.get $mask) 1)))
 *           (local.set $k 0)
 *           (block $differs
 *             (loop $compare
 *               (br_if $differs (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $k)))
 *                                       (i32.load8_u (i32.add (local.get $needle) (local.get $k)))))
 *               (br_if $compare (i32.lt_u (local.tee $k (i32.add (local.get $k) 1)) (local.get $length))))
 *             (i32.store (local.get $hits) (local.get $at))
 *             (local.set $hits (i32.add (local.get $hits) 4)))
 *           (br $bits)))
 *         (local.set $from (i32.add (local.get $from) 16))
 *         (br $blocks)))
 *       (local.get $hits))
 */
const MODULE = Buffer.from(
  [
    '0061736d01000000010f0260017f0060067f7f7f7f7f7f017f03030200010503010008071803066d656d6f7279020004',
    '666f6c6400000466696e6400010aef01023a02017f017b034020012001fd0000002202200241c100fd0ffd71411afd0f',
    'fd264120fd0ffd4efd50fd0b0000200141106a22012000490d000b0bb10102047f027b200120036a2d0000fd0f210a20',
    '0120046a2d0000fd0f210b02400340200620004f0d01200620036afd000000200afd23200620046afd000000200bfd23',
    'fd4efd642107024003402007450d0120062007686a220820004f0d012007200741016b71210741002109024003402008',
    '20096a2d0000200120096a2d0000470d01200941016a22092002490d000b20052008360200200541046a21050b0c000b',
    '0b200641106a21060c000b0b20050b',
  ].join(''),
  'hex',
);

/** As far as it is used here: the types of Node.js leave it out. */
interface WebAssembly {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => {
    exports: {
      memory: { buffer: ArrayBuffer; grow: (pages: number) => number };
      /** Folds the bytes before `end`, and up to 15 behind. */
      fold: (end: number) => void;
      /** Writes where the needle begins before `end`, as words; looks up to 15 bytes behind. Returns the words' end. */
      find: (end: number, needle: number, length: number, i: number, j: number, hits: number) => number;
    };
  };
}

const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssembly }).WebAssembly;
const wasm = new Instance(new Module(MODULE)).exports;
let memory = new Uint8Array(wasm.memory.buffer);

const NOWHERE = new Uint32Array();
const PAGE_BYTES = 64 * 1024;
const BLOCK_BYTES = 16;
const HIT_BYTES = 4;
