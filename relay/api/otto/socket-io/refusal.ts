import { ERRORS, type KerutaError } from '../../../../shared/errors.ts';
import { connectionOf, type ClientSocket } from './connection.ts';

/** An error as Otto's clients are told: what happened; its code, and what to do about it. */
export interface Refusal {
  message: string;
  details: string;
}

export function refusalOf({ code, message }: KerutaError): Refusal {
  return { message, details: `${code}: ${ERRORS[code].hint}` };
}

/**
 * Says why a client has to go, with `connection_error`, and ends its connection. One that may come back is cut, so that
 * it does by itself; one that is disconnected does not.
 */
export function sendAway(socket: ClientSocket, error: KerutaError): void {
  socket.emit('connection_error', refusalOf(error));
  if (ERRORS[error.code].retry) connectionOf(socket).close();
  else socket.disconnect(true);
}
