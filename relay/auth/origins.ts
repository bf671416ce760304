/** Which web pages may talk to the relay, by the origin that browsers tell. */
export class Origins {
  readonly #listed: ReadonlySet<string>;

  /** `https://logs.example.com` and the like, or `*` for all. */
  constructor(listed: readonly string[]) {
    this.#listed = new Set(listed);
  }

  /** For CORS: those that are configured. */
  get list(): string[] {
    return [...this.#listed];
  }

  /** Whether every page may come. */
  get any(): boolean {
    return this.#listed.has('*');
  }

  /** Whether the configuration says which may. */
  get configured(): boolean {
    return this.#listed.size > 0;
  }

  /** Whether a page is the relay's own (`host` is what the request calls the relay), or one that is listed by name. */
  known(origin: string, host: string | undefined): boolean {
    return this.#listed.has(origin) || (URL.canParse(origin) && new URL(origin).host === host);
  }

  /** Whether a page may read without bringing a token of its own: also those of this machine, if none is listed. */
  mayReadOpen(origin: string, host: string | undefined): boolean {
    if (this.any || this.known(origin, host)) return true;
    return !this.configured && URL.canParse(origin) && isLocalName(new URL(origin).hostname);
  }

  /**
   * Whether `host` may be what pages of this machine call an open relay. A page from elsewhere can have its own name
   * resolved to this machine's address, and would then count as the relay's own; but it can't choose these names.
   */
  namesOpen(host: string | undefined): boolean {
    if (host === undefined || this.any) return true;
    const url = `http://${host}`;
    if (!URL.canParse(url)) return false;
    const { hostname } = new URL(url);
    return (
      isLocalName(hostname) ||
      /^(\[.*\]|\d+(\.\d+){3})$/.test(hostname) ||
      this.list.some((origin) => URL.canParse(origin) && new URL(origin).hostname === hostname)
    );
  }
}

function isLocalName(hostname: string): boolean {
  return (
    hostname === '[::1]' || hostname === '127.0.0.1' || hostname === 'localhost' || hostname.endsWith('.localhost')
  );
}
