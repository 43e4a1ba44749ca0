// Why something does not play, and what that means for what comes next.

/**
 * - absent: the stream is not there (yet); it is asked for again.
 * - ended: it was there; it is asked for again.
 * - busy: the server has no room now; it is asked again.
 * - network: nothing comes; it is tried again.
 * - denied, name, kicked: final, until a person does something.
 * - codec: this browser cannot; final, unless another way can.
 * - way: this way does not work; another may.
 * - media: what came could not be played by this way; another may.
 */
export type Kind = 'absent' | 'ended' | 'busy' | 'network' | 'denied' | 'name' | 'kicked' | 'codec' | 'way' | 'media';

export interface Failure {
  kind: Kind;
  /** HTTP status, or 0. */
  code: number;
  /** The server's stable word, or ours. */
  word: string;
  /** A sentence: the server's own, or the player's. It is shown as text only. */
  message: string;
}

export function failure(kind: Kind, word: string, message: string, code = 0): Failure {
  return { kind, code, word, message };
}

/** What the server says in the body of a refusal, or as the reason of a WebSocket's close frame. */
export function refusal(status: number, text: string): Failure {
  let word = '';
  let message = '';
  try {
    const said: unknown = JSON.parse(text);
    if (typeof said === 'object' && said !== null) {
      word = 'error' in said ? String(said.error) : '';
      message = 'message' in said ? String(said.message) : '';
    }
  } catch {
    message = text.slice(0, 200);
  }
  return failure(kindOf(status, word, message), word || `http-${status}`, message || `status ${status}`, status);
}

/** Words that tell more than the status that comes with them. */
const words: Record<string, Kind> = {
  'not-found': 'absent',
  'no-media': 'absent',
  unpublished: 'ended',
  done: 'ended',
  silent: 'ended',
  replaced: 'ended',
  unwatched: 'ended',
  kicked: 'kicked',
  denied: 'denied',
  uncarried: 'way',
  'tracks-changed': 'ended',
  'too-slow': 'network',
};

function kindOf(status: number, word: string, message: string): Kind {
  if (status === 404 && message.startsWith('nothing is served at')) return 'way';
  const known = words[word];
  if (known) return known;
  switch (status) {
    case 400:
    case 414:
      return 'name';
    case 401:
    case 403:
      return 'denied';
    case 404:
      return 'absent';
    case 405:
    case 415:
    case 501:
    case 505:
      return 'way';
  }
  return 'busy';
}

/**
 * Asks for an address only to hear why it is refused: scripts do not see that of a WebSocket or a media element. Undefined: it is not
 * refused.
 */
export async function explain(url: string): Promise<Failure | undefined> {
  const stop = new AbortController();
  const limit = setTimeout(() => stop.abort(), 15_000);
  try {
    const answer = await fetch(url, { signal: stop.signal, cache: 'no-store' });
    if (answer.ok) return undefined;
    return refusal(answer.status, await answer.text());
  } catch {
    return failure('network', 'unreachable', 'the server does not answer');
  } finally {
    clearTimeout(limit);
    stop.abort();
  }
}

/** What the end of a WebSocket means. why is where fetch can ask; some says whether media have come by it. */
export async function closed(event: CloseEvent, why: string, some: boolean): Promise<Failure> {
  if (event.code >= 4100 && event.code < 4600) return refusal(event.code - 4000, event.reason);
  if (event.code === 1000 || event.code === 1001 || event.code === 1005) return failure('ended', 'done', event.reason || 'the stream has ended');
  if (some) return failure('network', 'broken', 'the connection broke');
  // Refused before it was open, and scripts are not told why.
  return (await explain(why)) ?? failure('way', 'no-websocket', 'WebSockets do not get through');
}
