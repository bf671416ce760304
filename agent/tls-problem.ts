/** What is wrong between the two sides, and what to do about it; undefined if it is nothing of TLS. */
export function tlsProblem(error: Error & { code?: string }, host: string): string | undefined {
  const { code = '', message } = error;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `shows a certificate that is not for ${host}; use a name that is in it, or have ${host} added to it`;
  }
  const known = PROBLEMS[code];
  if (known !== undefined) return known;
  const alert = ALERTS.find(([pattern]) => pattern.test(`${code} ${message}`));
  return alert?.[1];
}

const UNKNOWN_AUTHORITY =
  'shows a certificate that is signed by nobody whom this machine knows; ' +
  'name the file of its authority with websocket.security.certPath (KERUTA_WEBSOCKET_CERT_PATH)';

const PROBLEMS: Partial<Record<string, string>> = {
  CERT_HAS_EXPIRED: "shows a certificate that has expired; renew it there (or set this machine's clock)",
  CERT_NOT_YET_VALID: "shows a certificate that is not valid yet; is this machine's clock right?",
  CERT_REVOKED: 'shows a certificate that was revoked; renew it there',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  INVALID_PURPOSE: 'shows a certificate that is not made for servers',
};

/** What OpenSSL says when the other side refuses, in its code or its message. */
const ALERTS: [RegExp, string][] = [
  [
    /wrong.version.number|packet.length.too.long|http.request/i,
    'does not speak TLS at this address; is it ws:// instead of wss://?',
  ],
  [
    /alert.certificate.required|alert.handshake.failure|peer.did.not.return/i,
    'wants a certificate of the agent; give it with websocket.security.clientCert and websocket.security.clientKey',
  ],
  [
    /alert.unknown.ca|alert.bad.certificate|alert.certificate.(unknown|revoked)|alert.access.denied/i,
    "does not accept the agent's certificate; was it issued by an authority that the relay knows?",
  ],
  [/alert.certificate.expired/i, "says that the agent's certificate has expired; renew it"],
  [/unsupported.protocol|alert.protocol.version|no.shared.cipher/i, 'speaks no version of TLS that this agent speaks'],
];
