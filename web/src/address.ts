// The address of the page says which stream is wanted: /play/app/name, where the name may have more levels.

/** The page's own parameters; all others belong to the media. */
const ours = new Set(['via', 'muted', 'autoplay']);

const prefix = '/play/';

export interface Address {
  /** "app/name", decoded: for people. */
  name: string;
  /** The address names a stream, which need not be there. */
  valid: boolean;
  /** "app/name" as it stands in the address, percent-encoded: for other addresses. */
  path: string;
  /** What is handed on to the media, with its "?", or "". It may hold a token. */
  query: string;
  via: string;
  muted: boolean;
  autoplay: boolean;
}

/** Reads an address of the page. Nothing of it is trusted: the name may be anything. */
export function readAddress(where: Location): Address {
  const path = where.pathname.startsWith(prefix) ? where.pathname.slice(prefix.length) : '';
  const own = new URLSearchParams(where.search);
  return {
    name: decode(path),
    valid: isName(path),
    path,
    query: handOn(where.search),
    via: own.get('via') ?? '',
    muted: flag(own.get('muted'), false),
    autoplay: flag(own.get('autoplay'), true),
  };
}

/** A stream has an application and a name: two levels at least, none of them empty. */
export function isName(path: string): boolean {
  const levels = path.split('/');
  return levels.length > 1 && levels.every((level) => level !== '');
}

/** The path of the page for a name that somebody typed. */
export function pageOf(name: string): string {
  return prefix + name.split('/').map(encodeURIComponent).join('/');
}

/** Leaves out what is the page's own, and does not touch the rest: a signature may hang on its spelling. */
function handOn(search: string): string {
  const rest = search
    .replace(/^\?/, '')
    .split('&')
    .filter((part) => part !== '' && !ours.has(decode((part.split('=', 1)[0] ?? '').replace(/\+/g, ' '))));
  return rest.length > 0 ? '?' + rest.join('&') : '';
}

function flag(value: string | null, otherwise: boolean): boolean {
  if (value === null) return otherwise;
  return !['0', 'false', 'no', 'off'].includes(value.toLowerCase());
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
