// Asks the server what a stream is, without taking any of it.

export interface Found {
  /** HTTP status; 0: no answer. */
  status: number;
  /** 'video/mp4; codecs="avc1.64001f,mp4a.40.2"', or '' where it is not known. */
  type: string;
}

/** Longer than the longest that a server waits for a stream (play.wait). */
const patience = 65_000;

export async function probe(url: string, signal?: AbortSignal): Promise<Found> {
  const stop = new AbortController();
  const limit = setTimeout(() => stop.abort(), patience);
  const leave = (): void => stop.abort();
  signal?.addEventListener('abort', leave);
  try {
    const answer = await fetch(url.replace(/^ws/, 'http'), { method: 'HEAD', signal: stop.signal, cache: 'no-store' });
    const type = answer.headers.get('Content-Type') ?? '';
    return { status: answer.status, type: answer.ok && /^(video|audio)\/mp4/i.test(type) ? type : '' };
  } catch {
    return { status: 0, type: '' };
  } finally {
    clearTimeout(limit);
    signal?.removeEventListener('abort', leave);
  }
}
