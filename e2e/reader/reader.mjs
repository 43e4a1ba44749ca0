// Reads FLV with mpegts.js and prints what it finds as lines of JSON, for the end-to-end tests in Go.
//
//   node reader.mjs http://host/app/name.live.flv   with the player's own fetch loader
//   node reader.mjs ws://host/app/name.live.flv     with the player's own WebSocket loader
//   node reader.mjs file.flv
//
// The bytes go through all of the player but the browser: loader, stash, FLV demuxer, remuxer to fragmented MP4.
// Lines: {"type":"track"}, {"type":"sample"}, {"type":"error"} and at last {"type":"end"}.
// The exit code is 0 when the stream ended in order.
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import vm from 'node:vm'

const require = createRequire(import.meta.url)
const print = (line) => process.stdout.write(JSON.stringify(line) + '\n')

const fail = (...what) => {
  print({ type: 'error', message: what.map((w) => typeof w === 'string' ? w : JSON.stringify(w)).join(': ') })
  process.exitCode = 1
}

// What of a browser the player looks for. Node 18 has no WebSocket of its own.
function browser () {
  const quiet = { log () {}, info () {}, debug () {}, warn: console.error, error: console.error }
  const self = {
    fetch, Headers, ReadableStream, AbortController, WebSocket: require('ws'), navigator: { userAgent: 'node' }, console: quiet,
    setTimeout, clearTimeout, setInterval, clearInterval, location: { protocol: 'http:' }, URL, performance
  }
  self.self = self.window = self
  return self
}

// The published bundle, the very file that browsers run, keeps its modules to itself. Where it starts the first module,
// it is changed to hand out what loads them.
function load () {
  const path = require.resolve('mpegts.js')
  const source = readFileSync(path, 'utf8')
  const start = /,(\w)\(\1\.s=\d+\)\}\(\[/
  if (!start.test(source)) throw new Error('mpegts.js is built in another way than this reader expects')
  const scope = { ...browser(), exports: {}, module: { exports: {} } }
  const names = Object.keys(scope)
  vm.compileFunction(source.replace(start, ',$1}(['), names, { filename: path })(...names.map((n) => scope[n]))
  const webpack = scope.module.exports
  const found = { controllers: new Set(), loaders: new Set() }
  for (const id of Object.keys(webpack.m)) {
    let exports = {}
    try {
      exports = webpack(id)
    } catch {} // that module needs more of a browser than there is here
    for (const e of Object.values(exports ?? {})) {
      if (typeof e !== 'function') continue
      if (e.prototype?._setupFLVDemuxerRemuxer) found.controllers.add(e)
      if (e.prototype?.isWorking && e.length === 1) found.loaders.add(e)
    }
  }
  const one = (set, what) => {
    if (set.size !== 1) throw new Error(`mpegts.js has ${set.size} classes that look like its ${what}`)
    return [...set][0]
  }
  return { Controller: one(found.controllers, 'controller'), BaseLoader: one(found.loaders, 'base loader') }
}

// A loader for files, which the player's own loaders cannot read under Node.
const fileLoader = (BaseLoader) => class extends BaseLoader {
  constructor () {
    super('file-loader')
    this._needStash = true
  }

  open (source) {
    let at = 0
    createReadStream(source.url, { highWaterMark: 4096 })
      .on('data', (b) => {
        const chunk = new Uint8Array(b).buffer // a copy of its own
        at += b.length
        this.onDataArrival(chunk, at - b.length, at)
      })
      .on('end', () => this.onComplete(0, at - 1))
      .on('error', (e) => fail('file', e.message))
  }

  abort () {}
}

const md5 = (parts) => {
  const h = createHash('md5')
  for (const p of parts) h.update(p)
  return h.digest('hex')
}

// Listens to what the demuxer hands to the remuxer.
function tap (demuxer) {
  const { onTrackMetadata, onDataAvailable } = demuxer
  const told = new WeakSet() // the remuxer leaves a sample in the track until it knows how long it is
  const fresh = (track) => track.samples.filter((s) => !told.has(s) && told.add(s))
  demuxer.onTrackMetadata = (kind, m) => {
    print({
      type: 'track', kind, codec: m.codec, width: m.codecWidth, height: m.codecHeight, rate: m.audioSampleRate,
      channels: m.channelCount
    })
    onTrackMetadata(kind, m)
  }
  demuxer.onDataAvailable = (audio, video, ...rest) => {
    for (const s of fresh(video)) {
      print({
        type: 'sample', kind: 'video', dts: s.dts, pts: s.pts, key: s.isKeyframe, md5: md5(s.units.map((u) => u.data))
      })
    }
    for (const s of fresh(audio)) {
      print({ type: 'sample', kind: 'audio', dts: s.dts, pts: s.pts, key: true, md5: md5([s.unit]) })
    }
    onDataAvailable(audio, video, ...rest)
  }
}

function read (url) {
  const { Controller, BaseLoader } = load()
  const config = {
    enableStashBuffer: true, isLive: true, seekType: 'range', statisticsInfoReportInterval: 600,
    fixAudioTimestampGap: false
  }
  if (!/^(http|ws)s?:/.test(url)) config.customLoader = fileLoader(BaseLoader)
  const controller = new Controller({ type: 'flv', isLive: true, url }, config)
  const setup = controller._setupFLVDemuxerRemuxer
  controller._setupFLVDemuxerRemuxer = function (probe) {
    setup.call(this, probe)
    tap(this._demuxer)
  }
  let bytes = 0
  controller.on('init_segment', (kind, s) => { bytes += s.data?.byteLength ?? 0 })
  controller.on('media_segment', (kind, s) => { bytes += s.data?.byteLength ?? 0 })
  controller.on('demux_error', fail)
  controller.on('io_error', (...what) => {
    fail(...what)
    controller.destroy()
  })
  controller.on('loading_complete', () => {
    print({ type: 'end', bytes })
    controller.destroy()
  })
  controller.start()
}

if (process.argv.length !== 3) {
  console.error('usage: node reader.mjs URL|FILE')
  process.exit(2)
}
try {
  read(process.argv[2])
} catch (e) {
  fail('reader', String(e.message)) // the stack of an error in the bundle would quote all of it
}
