// fMP4 over WebSocket, straight into a MediaSource.

import { Chase } from './chase';
import { closed, failure } from './failure';
import type { Failure } from './failure';
import { afterRest, empty, once } from './player';
import type { Job, Player } from './player';
import { probe } from './probe';
import { codecsOf, mediaSource } from './ways';

/** Bytes that may wait to be taken by the browser. */
const queueMax = 32 << 20;
/** Seconds that are kept of what was shown. */
const keep = 10;

export function start(job: Job): Player {
  const feed = new Feed(job);
  return {
    name: 'MediaSource',
    latency: () => {
      const seconds = feed.chase.ahead();
      return seconds === undefined ? undefined : { seconds, of: 'buffer' };
    },
    catchUp: () => feed.chase.jump(),
    stop: once(() => feed.stop()),
  };
}

class Feed {
  readonly chase: Chase;
  private readonly source: MediaSource;
  private readonly address: string;
  private buffer: SourceBuffer | undefined;
  private socket: WebSocket | undefined;
  private queue: ArrayBuffer[] = [];
  private queued = 0;
  private some = false;
  private held = false; // until it is known what a new initialisation segment holds
  private over = false;

  constructor(private readonly job: Job) {
    const source = mediaSource();
    if (!source) throw new Error('no MediaSource');
    this.source = new source();
    this.source.addEventListener('sourceopen', () => this.open(), { once: true });
    this.address = URL.createObjectURL(this.source);
    job.video.disableRemotePlayback = true; // a managed source does not open otherwise
    job.video.src = this.address;
    job.video.addEventListener('error', this.broken);
    this.chase = new Chase(job.video);
  }

  stop(): void {
    this.over = true;
    const socket = this.socket;
    this.socket = undefined;
    socket?.close(1000);
    this.chase.stop();
    this.queue = [];
    this.job.video.removeEventListener('error', this.broken);
    this.job.video.pause();
    empty(this.job.video);
    URL.revokeObjectURL(this.address);
  }

  private readonly broken = (): void => {
    this.fail(failure('media', 'decode', this.job.video.error?.message || 'the browser gave up on the media'));
  };

  private fail(why: Failure): void {
    if (this.over) return;
    this.over = true;
    if (why.kind !== 'ended') {
      this.job.listener.fail(why);
      return;
    }
    if (this.source.readyState === 'open' && !this.buffer?.updating) this.source.endOfStream();
    afterRest(this.job.video, () => this.job.listener.fail(why));
  }

  private open(): void {
    if (this.over) return;
    try {
      this.source.duration = Infinity;
      this.buffer = this.source.addSourceBuffer(this.job.type);
    } catch (err) {
      this.fail(failure('way', 'codec', String(err)));
      return;
    }
    this.buffer.addEventListener('updateend', () => this.pump());
    this.job.listener.codecs(codecsOf(this.job.type));
    const socket = new WebSocket(this.job.url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (this.socket === socket && event.data instanceof ArrayBuffer) this.take(event.data);
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      void closed(event, this.job.why, this.some).then((why) => {
        if (this.socket === socket) this.fail(why);
      });
    };
    this.socket = socket;
  }

  private take(message: ArrayBuffer): void {
    this.job.listener.bytes(message.byteLength);
    this.queue.push(message);
    this.queued += message.byteLength;
    if (this.queued > queueMax) {
      this.fail(failure('media', 'overflow', 'the browser does not take the media as fast as they come'));
      return;
    }
    this.pump();
  }

  /** Gives the browser the next message, when it is ready for one. */
  private pump(): void {
    const { buffer, queue } = this;
    if (this.over || this.held || !buffer || buffer.updating || this.source.readyState !== 'open') return;
    if (this.trim(buffer, 2 * keep)) return;
    const message = queue[0];
    if (!message) return;
    if (this.some && isInit(message)) {
      this.held = true;
      void this.change(buffer);
      return;
    }
    this.append(buffer, message);
  }

  private append(buffer: SourceBuffer, message: ArrayBuffer): void {
    try {
      buffer.appendBuffer(message);
      this.queue.shift();
      this.queued -= message.byteLength;
      this.some = true;
    } catch (err) {
      if (err instanceof DOMException && err.name === 'QuotaExceededError' && this.trim(buffer, 1)) return;
      this.fail(failure('media', 'append', String(err)));
    }
  }

  /** The tracks have changed: the server says what they are now. */
  private async change(buffer: SourceBuffer): Promise<void> {
    const { type } = await probe(this.job.why);
    if (this.over) return;
    const before = codecsOf(this.job.type);
    const now = codecsOf(type);
    try {
      if (type === '' || now.length !== before.length) throw new Error('another number of tracks');
      if (type !== this.job.type) {
        buffer.changeType(type);
        this.job.type = type;
        this.job.listener.codecs(now);
      }
    } catch (err) {
      this.fail(failure('ended', 'tracks-changed', `the tracks have changed (${err instanceof Error ? err.message : String(err)})`));
      return;
    }
    this.held = false;
    const message = this.queue[0];
    if (message) this.append(buffer, message);
  }

  /** Drops what was shown, if there is more of it than seconds; says whether the browser is busy with that. */
  private trim(buffer: SourceBuffer, seconds: number): boolean {
    const { buffered } = buffer;
    const { currentTime } = this.job.video;
    if (buffered.length === 0 || currentTime - buffered.start(0) <= seconds) return false;
    buffer.remove(0, currentTime - seconds / 2);
    return true;
  }
}

/** An initialisation segment begins with ftyp (ISO/IEC 23000-19, 7.3.1), or moov at the least. */
function isInit(message: ArrayBuffer): boolean {
  if (message.byteLength < 8) return false;
  const kind = String.fromCharCode(...new Uint8Array(message, 4, 4));
  return kind === 'ftyp' || kind === 'moov';
}
