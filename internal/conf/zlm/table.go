package zlm

import "time"

// Why keys have no effect.
const (
	noPulls     = "pulling and pushing of streams come later"
	noFFmpeg    = "no child process is started"
	noRecord    = "recording comes later"
	noRTP       = "GB28181 comes later"
	noRTC       = "WebRTC comes later"
	noSRT       = "SRT comes later"
	onDemand    = "each form of a stream is made only while somebody watches it"
	handshakes  = "a connection has 10 s to publish or to play"
	fixedBuffer = "buffers need no setting"
)

func apiKeys() []Key {
	return []Key{
		keeps("api.apiDebug", "1", "the log says what the API is asked as far as log.level lets it"),
		means("api.secret", builtinSecret, secret{}, "api.secret"),
		keeps("api.snapRoot", "./www/snap/", "snapshots come later"),
		keeps("api.defaultSnap", "./www/logo.png", "snapshots come later"),
		means("api.downloadRoot", "./www", folders{";"}, "files.download"),
	}
}

func ffmpegKeys() []Key {
	return []Key{
		keeps("ffmpeg.bin", "", noFFmpeg).sample("/usr/bin/ffmpeg"),
		keeps("ffmpeg.cmd", "%s -re -i %s -c:a aac -strict -2 -ar 44100 -ab 48k -c:v libx264 -f flv %s", noFFmpeg),
		keeps("ffmpeg.snap", "%s -i %s -y -f mjpeg -frames:v 1 -an %s", noFFmpeg),
		keeps("ffmpeg.log", "./ffmpeg/ffmpeg.log", noFFmpeg),
		keeps("ffmpeg.restart_sec", "0", noFFmpeg),
	}
}

func protocolKeys() []Key {
	return []Key{
		means("protocol.modify_stamp", "2", choice{"absolute", "receive", "relative"}, "publish.modify_stamp"),
		means("protocol.enable_audio", "1", flag{"true", "false"}, "publish.audio"),
		keeps("protocol.add_mute_audio", "1", "silence is not added to streams without sound"),
		means("protocol.auto_close", "0", flag{"true", "false"}, "publish.close_idle"),
		means("protocol.continue_push_ms", "15000", span{unit: time.Millisecond, most: 10 * time.Minute}, "publish.resume_window"),
		keeps("protocol.paced_sender_ms", "0", "media are sent when they come"),
		means("protocol.enable_hls", "1", flag{"true", "false"}, "serve.hls"),
		means("protocol.enable_hls_fmp4", "0", flag{"true", "false"}, "serve.hls_fmp4"),
		keeps("protocol.enable_mp4", "0", noRecord),
		means("protocol.enable_rtsp", "1", flag{"true", "false"}, "serve.rtsp"),
		means("protocol.enable_rtmp", "1", flag{"true", "false"}, "serve.rtmp"),
		means("protocol.enable_ts", "1", flag{"true", "false"}, "serve.ts"),
		means("protocol.enable_fmp4", "1", flag{"true", "false"}, "serve.fmp4"),
		keeps("protocol.mp4_as_player", "0", noRecord),
		keeps("protocol.mp4_max_second", "3600", noRecord),
		keeps("protocol.mp4_save_path", "./www", noRecord),
		keeps("protocol.hls_save_path", "./www", "segments are kept in memory; hls.dir names a folder that gets copies"),
		keeps("protocol.hls_demand", "0", onDemand+"; hls.always cuts streams before"),
		keeps("protocol.rtsp_demand", "0", onDemand),
		keeps("protocol.rtmp_demand", "0", onDemand),
		keeps("protocol.ts_demand", "0", onDemand),
		keeps("protocol.fmp4_demand", "0", onDemand),
	}
}

func generalKeys() []Key {
	return []Key{
		keeps("general.enableVhost", "0", "virtual hosts come later"),
		means("general.flowThreshold", "1024", kibibytes{}, "hooks.flow_threshold"),
		means("general.maxStreamWaitMS", "15000", span{unit: time.Millisecond, most: time.Minute}, "play.wait"),
		means("general.streamNoneReaderDelayMS", "20000", span{unit: time.Millisecond, least: time.Second, most: 24 * time.Hour}, "publish.idle_delay"),
		keeps("general.resetWhenRePlay", "1", noPulls),
		means("general.mergeWriteMS", "0", span{unit: time.Millisecond, most: time.Second}, "egress.merge_window"),
		means("general.mediaServerId", "", name{}, "hooks.server_id").sample(sampleID),
		keeps("general.wait_track_ready_ms", "10000", "a viewer waits 10 s for the tracks of a stream"),
		keeps("general.wait_audio_track_data_ms", "1000", "a track is there from its first unit on"),
		keeps("general.wait_add_track_ms", "3000", "a track may come at any time"),
		keeps("general.unready_frame_cache", "100", "limits.ring_units, ring_bytes and ring_age say what a stream keeps"),
		keeps("general.broadcast_player_count_changed", "0", "ZLMediaKit tells only its own code of it"),
		{
			Name: "general.listen_ip", Default: "::", role: host,
			Ours: []string{"http.listen", "http.tls.listen", "rtmp.listen", "rtmp.tls.listen", "rtsp.listen", "rtsp.tls.listen"},
		},
		keeps("general.check_nvidia_dev", "1", "nothing is transcoded"),
		keeps("general.enable_ffmpeg_log", "0", "nothing is transcoded"),
	}
}

func hlsKeys() []Key {
	return []Key{
		keeps("hls.fileBufSize", "65536", fixedBuffer),
		means("hls.segDur", "2", span{unit: time.Second, least: time.Second, most: 10 * time.Second}, "hls.segment"),
		means("hls.segNum", "3", count{least: 3, most: 60, zero: "0 would keep all segments, which is recording and comes later"}, "hls.segments"),
		keeps("hls.segDelay", "0", "there is no delayed playlist"),
		keeps("hls.segRetain", "5", "as many segments as in the playlist are kept beyond it"),
		keeps("hls.broadcastRecordTs", "0", noRecord),
		keeps("hls.deleteDelaySec", "10", "segments are kept in memory, and copies in hls.dir go with their stream"),
		keeps("hls.segKeep", "0", noRecord),
		keeps("hls.fastRegister", "0", "the first segment begins in the past, with what the stream keeps"),
		keeps("hls.fmp4SegExt", ".mp4", "players take names of segments from the playlist"),
	}
}

func hookKeys() []Key {
	keys := []Key{means("hook.enable", "0", flag{"true", "false"}, "hooks.enabled")}
	for _, event := range []string{
		"on_publish", "on_play", "on_stream_changed", "on_stream_not_found", "on_stream_none_reader", "on_flow_report",
		"on_rtsp_realm", "on_rtsp_auth", "on_server_started", "on_server_exited", "on_server_keepalive", "on_http_access",
	} {
		keys = append(keys, means("hook."+event, "", link{}, "hooks."+event))
	}
	return append(
		keys,
		keeps("hook.on_record_mp4", "", noRecord),
		keeps("hook.on_record_ts", "", noRecord),
		keeps("hook.on_shell_login", "", "there is no telnet console"),
		keeps("hook.on_send_rtp_stopped", "", noRTP),
		keeps("hook.on_rtp_server_timeout", "", noRTP),
		means("hook.stream_changed_schemas", "rtsp/rtmp/fmp4/ts/hls/hls.fmp4", schemas{}, "hooks.stream_changed_schemas"),
		means("hook.timeoutSec", "10", span{unit: time.Second, least: 100 * time.Millisecond, most: time.Minute}, "hooks.timeout"),
		means("hook.alive_interval", "30", span{unit: time.Second, least: time.Second, most: time.Hour, decimal: true}, "hooks.alive_interval").sample("10.0"),
		means("hook.retry", "1", count{most: 10}, "hooks.retries"),
		means("hook.retry_delay", "3.0", span{unit: time.Second, least: 10 * time.Millisecond, most: time.Minute, decimal: true}, "hooks.retry_delay"),
	)
}

func clusterKeys() []Key {
	return []Key{
		keeps("cluster.origin_url", "", noPulls),
		keeps("cluster.timeout_sec", "15", noPulls),
		keeps("cluster.retry_count", "3", noPulls),
	}
}

func httpKeys() []Key {
	return []Key{
		keeps("http.charSet", "utf-8", "everything is UTF-8"),
		keeps("http.keepAliveSecond", "15", "egress.stall_timeout ends viewers that take nothing; idle connections have limits of their own").sample("30"),
		keeps("http.maxReqSize", "40960", "each request has a limit of its own"),
		keeps("http.maxUploadSize", "1073741824", "nothing is uploaded"),
		keeps("http.notFound", "", "answers that say no are JSON"),
		listens("http.port", "80", "http.listen"),
		listens("http.sslport", "443", "http.tls.listen"),
		means("http.rootPath", "./www", folder{}, "files.root"),
		keeps("http.sendBufSize", "65536", fixedBuffer),
		means("http.dirMenu", "1", flag{"true", "false"}, "files.listing"),
		means("http.virtualPath", "", aliases{}, "files.aliases"),
		keeps("http.forbidCacheSuffix", "", "files are read as they are, and mapped into no memory"),
		keeps("http.forwarded_ip_header", "", "proxies in front are not believed: addresses are those of connections"),
		means("http.allow_cross_domains", "1", flag{"*", ""}, "httplive.cors", "hls.cors", "files.cors"),
		means(
			"http.allow_ip_range", "::1,127.0.0.1,172.16.0.0-172.31.255.255,192.168.0.0-192.168.255.255,10.0.0.0-10.255.255.255", ranges{}, "api.from",
		),
	}
}

func multicastKeys() []Key {
	const off = "multicast is off until rtsp.multicast.range says which groups"
	return []Key{
		keeps("multicast.addrMin", "239.0.0.0", off),
		keeps("multicast.addrMax", "239.255.255.255", off),
		means("multicast.udpTTL", "64", count{least: 1, most: 255}, "rtsp.multicast.ttl"),
	}
}
