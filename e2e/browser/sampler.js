// Runs in every page before its own scripts, and looks at its video element ten times a second.
(() => {
  const sampled = (window.sampled = { samples: [], violations: [] });
  const samplesMax = 2000;
  document.addEventListener('securitypolicyviolation', (event) => {
    sampled.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile ?? ''}`);
  });

  const canvas = document.createElement('canvas');
  canvas.width = 16;
  canvas.height = 1;
  const draw = canvas.getContext('2d', { willReadFrequently: true });

  /** The clock in the picture: 16 bars at its foot are the milliseconds modulo 65536, the least bit first. -1: there is none. */
  function clock(video) {
    const { videoWidth: width, videoHeight: height } = video;
    if (width === 0 || video.readyState < 2) return -1;
    const bar = width / 16;
    for (let bit = 0; bit < 16; bit++) draw.drawImage(video, (bit + 0.5) * bar - 1, height * 0.9, 2, 2, bit, 0, 1, 1);
    const { data } = draw.getImageData(0, 0, 16, 1);
    let value = 0;
    for (let bit = 0; bit < 16; bit++) {
      const level = data[4 * bit + 1];
      if (level > 70 && level < 185) return -1;
      if (level >= 185) value += 2 ** bit;
    }
    return value;
  }

  setInterval(() => {
    const video = document.querySelector('video');
    if (!video || sampled.samples.length >= samplesMax) return;
    const at = performance.now() / 1000;
    const { buffered, currentTime } = video;
    const now = Date.now();
    const shown = clock(video); // which takes a while on a busy machine
    const quality = video.getVideoPlaybackQuality();
    const { state = '', latency = null, latencyOf = '', error = null } = window.vigil ?? {};
    sampled.samples.push({
      at,
      time: currentTime,
      ahead: buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : 0,
      ready: video.readyState,
      rate: video.playbackRate,
      frames: quality.totalVideoFrames,
      dropped: quality.droppedVideoFrames,
      glass: shown < 0 ? -1 : ((((now - shown) % 65536) + 65536) % 65536) / 1000,
      state,
      latency: latency ?? -1,
      of: latencyOf ?? '',
      error: error ? `${error.kind} ${error.word}` : '',
    });
  }, 100);
})();
