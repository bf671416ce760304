/**
 * What lets a client in: a token, or a function that gives one whenever it is needed, which is for each connection and
 * each request. If the relay did not take the last one, the function is asked once more and gets that one, so that a
 * cache knows what to forget.
 */
export type Token = string | ((rejected?: string) => string | Promise<string>);

export async function askToken(token: Token | undefined, rejected: string | undefined): Promise<string | undefined> {
  return typeof token === 'function' ? token(rejected) : token;
}
