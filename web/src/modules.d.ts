// The light build of hls.js (no DRM, no subtitles) has the interface of the whole one.
declare module 'hls.js/light' {
  export * from 'hls.js';
  export { default } from 'hls.js';
}

// Safari's MediaSource for devices that save power (Media Source Extensions 2, section 16).
interface Window {
  ManagedMediaSource?: typeof MediaSource;
}

interface HTMLMediaElement {
  disableRemotePlayback: boolean;
}
