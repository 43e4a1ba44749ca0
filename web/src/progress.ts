// Whether what was begun goes on. It only looks; the session acts.

import { failure } from './failure';
import type { Failure } from './failure';

/** Limits, in milliseconds. */
const firstByteMax = 65_000; // a server lets a viewer wait for a stream: play.wait is a minute at most
const firstSegmentMax = 20_000; // the same where the browser fetches by itself and tells nothing
const firstPictureMax = 12_000; // since the first byte
const silenceMax = 20_000; // longer than a stream is kept for a publisher who was cut off (publish.resume_window)
const stuckMax = 5_000; // bytes come, and nothing is shown
const bufferingAfter = 1_000;

export class Progress {
  /** It has played since it was begun. */
  played = false;
  /** performance.now() of when it first played. */
  since = 0;
  private begun = performance.now();
  private firstByte = 0;
  private lastByte = this.begun;
  private comesSince = this.begun; // without a long pause
  private lastMove = this.begun;
  private position = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly segments: boolean,
  ) {}

  /** Bytes have come. */
  heard(): void {
    const now = performance.now();
    if (now - this.lastByte > stuckMax) this.comesSince = now;
    this.lastByte = now;
    this.firstByte ||= now;
  }

  /** All is forgiven: nobody looked. */
  excuse(): void {
    this.lastByte = this.lastMove = performance.now();
  }

  /** Says whether the picture has gone on since it was last asked. */
  moved(): boolean {
    const { currentTime, readyState, paused } = this.video;
    if (currentTime === this.position || readyState < 2 || paused) return false;
    // A jump to where the media begin is no playing yet.
    const plays = this.position > 0 && Math.abs(currentTime - this.position) < 2;
    this.position = currentTime;
    if (!plays) return false;
    this.lastMove = performance.now();
    if (!this.played) this.since = this.lastMove;
    this.played = true;
    return true;
  }

  /** It has nothing to show at the moment. */
  dry(): boolean {
    return performance.now() - this.lastMove > bufferingAfter;
  }

  /** What has gone on for too long. */
  trouble(): Failure | undefined {
    const now = performance.now();
    if (!this.played) {
      if (this.video.paused && this.video.readyState >= 3) return undefined; // it waits for the viewer
      const most = this.segments ? firstSegmentMax : firstByteMax;
      if (this.firstByte === 0 && now - this.begun > most) return failure('way', 'silent', 'nothing has come by this way');
      if (this.firstByte > 0 && now - this.firstByte > firstPictureMax) {
        return failure('media', 'no-picture', 'media come, but there is nothing to see or hear');
      }
      return undefined;
    }
    if (now - this.lastMove < stuckMax) return undefined;
    if (now - this.lastByte > silenceMax) return failure('network', 'silent', 'nothing has come for 20 seconds');
    if (now - this.comesSince < stuckMax) return undefined; // after a pause of the encoder: it is about to go on
    if (now - this.lastByte < 2_000) return failure('media', 'stuck', 'media come, but the picture stands still');
    return undefined;
  }
}
