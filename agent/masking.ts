import type { AgentConfig } from '../shared/options/agent-options.ts';
import { MIN_SECRET_CHARS } from './redact/forms.ts';
import { secretsFromEnvironment } from './redact/environment.ts';
import { compileSecrets, type SecretSet } from './redact/secrets.ts';

/** All that the agent knows to be secret: from the environment, `masks` as --mask gives them, its own credentials. */
export function knownSecrets(
  { authToken, apiKey }: Pick<AgentConfig, 'authToken' | 'apiKey'>,
  masks: readonly string[],
  warn: (text: string) => void,
): SecretSet {
  const own = [authToken, apiKey].filter((secret) => secret !== undefined);
  const secrets = compileSecrets([...secretsFromEnvironment(process.env), ...own, ...masks]);
  const unmasked = secrets.tooShort.length;
  if (unmasked > 0) {
    warn(`${unmasked} of the values to be masked have fewer than ${MIN_SECRET_CHARS} characters; they are not masked`);
  }
  return secrets;
}
