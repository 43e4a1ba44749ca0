package zlm

import "time"

func recordKeys() []Key {
	return []Key{
		keeps("record.appName", "record", noRecord),
		keeps("record.fileBufSize", "65536", noRecord),
		keeps("record.sampleMS", "500", noRecord),
		keeps("record.fastStart", "0", noRecord),
		keeps("record.fileRepeat", "0", noRecord),
		keeps("record.enableFmp4", "0", noRecord),
	}
}

// silence is what keepAliveSecond says of both RTMP and RTSP: a setting of ours that is one for all publishers.
func silence() codec { return span{unit: time.Second, least: time.Second, most: time.Hour} }

func rtmpKeys() []Key {
	return []Key{
		keeps("rtmp.handshakeSecond", "15", handshakes),
		means("rtmp.keepAliveSecond", "15", silence(), "publish.max_silence"),
		listens("rtmp.port", "1935", "rtmp.listen"),
		listens("rtmp.sslport", "19350", "rtmp.tls.listen").sample("0"),
		keeps("rtmp.directProxy", "1", "messages are always taken apart, and written once for all viewers"),
		means("rtmp.enhanced", "1", flag{"enhanced", "legacy"}, "rtmp.form", "httplive.form"),
	}
}

func rtpKeys() []Key {
	return []Key{
		keeps("rtp.audioMtuSize", "600", "rtsp.packet_size holds for sound too"),
		means("rtp.videoMtuSize", "1400", count{least: 548, most: 8960}, "rtsp.packet_size"),
		keeps("rtp.rtpMaxSize", "10", "packets by TCP may have the 64 KiB that RTSP allows"),
		keeps("rtp.lowLatency", "0", "each picture is sent with its marker as soon as it is complete"),
		keeps("rtp.h264_stap_a", "1", "small NAL units always share packets"),
	}
}

func proxyKeys() []Key {
	return []Key{
		keeps("rtp_proxy.dumpDir", "", noRTP),
		absent("rtp_proxy.port", "10000", noRTP),
		keeps("rtp_proxy.timeoutSec", "15", noRTP),
		means("rtp_proxy.port_range", "30000-35000", portRange{}, "rtsp.udp_ports"),
		keeps("rtp_proxy.h264_pt", "98", noRTP),
		keeps("rtp_proxy.h265_pt", "99", noRTP),
		keeps("rtp_proxy.ps_pt", "96", noRTP),
		keeps("rtp_proxy.opus_pt", "100", noRTP),
		keeps("rtp_proxy.gop_cache", "1", noRTP),
		keeps("rtp_proxy.rtp_g711_dur_ms", "100", noRTP),
		keeps("rtp_proxy.udp_recv_socket_buffer", "4194304", noRTP),
		keeps("rtp_proxy.merge_frame", "1", noRTP),
	}
}

func rtcKeys() []Key {
	return []Key{
		absent("rtc.signalingPort", "3000", noRTC),
		absent("rtc.signalingSslPort", "3001", noRTC),
		absent("rtc.icePort", "3478", noRTC),
		absent("rtc.iceTcpPort", "3478", noRTC),
		keeps("rtc.enableTurn", "1", noRTC),
		keeps("rtc.iceTransportPolicy", "0", noRTC),
		keeps("rtc.iceUfrag", "ZLMediaKit", noRTC),
		keeps("rtc.icePwd", "ZLMediaKit", noRTC),
		keeps("rtc.max_stun_retry", "7", noRTC),
		keeps("rtc.port_range", "49152-65535", noRTC),
		keeps("rtc.datachannel_echo", "1", noRTC),
		keeps("rtc.timeoutSec", "15", noRTC),
		keeps("rtc.externIP", "", noRTC),
		keeps("rtc.interfaces", "", noRTC),
		absent("rtc.port", "8000", noRTC),
		absent("rtc.tcpPort", "8000", noRTC),
		keeps("rtc.rembBitRate", "0", noRTC),
		keeps("rtc.preferredCodecA", "PCMA,PCMU,opus,mpeg4-generic", noRTC),
		keeps("rtc.preferredCodecV", "H264,H265,AV1,VP9,VP8", noRTC),
		keeps("rtc.start_bitrate", "0", noRTC),
		keeps("rtc.max_bitrate", "0", noRTC),
		keeps("rtc.min_bitrate", "0", noRTC),
		keeps("rtc.maxRtpCacheMS", "5000", noRTC),
		keeps("rtc.maxRtpCacheSize", "2048", noRTC),
		keeps("rtc.nackMaxSize", "2048", noRTC),
		keeps("rtc.nackMaxMS", "3000", noRTC),
		keeps("rtc.nackMaxCount", "15", noRTC),
		keeps("rtc.nackIntervalRatio", "1.0", noRTC),
		keeps("rtc.nackRtpSize", "8", noRTC),
		keeps("rtc.nackAudioRtpSize", "4", noRTC),
		keeps("rtc.bfilter", "0", noRTC),
		keeps("rtc.preferred_tcp", "0", noRTC),
	}
}

func srtKeys() []Key {
	return []Key{
		keeps("srt.timeoutSec", "5", noSRT),
		absent("srt.port", "9000", noSRT),
		keeps("srt.latencyMul", "4", noSRT),
		keeps("srt.pktBufSize", "8192", noSRT),
		keeps("srt.passPhrase", "", noSRT),
	}
}

func rtspKeys() []Key {
	return []Key{
		means("rtsp.authBasic", "0", scheme{}, "rtsp.auth"),
		keeps("rtsp.directProxy", "1", "packets are always taken apart, and written once for all viewers"),
		keeps("rtsp.handshakeSecond", "15", handshakes),
		means("rtsp.keepAliveSecond", "15", silence(), "publish.max_silence"),
		listens("rtsp.port", "554", "rtsp.listen"),
		listens("rtsp.sslport", "332", "rtsp.tls.listen").sample("0"),
		keeps("rtsp.lowLatency", "0", "pictures are sent whole, as soon as they are complete"),
		keeps("rtsp.rtpTransportType", "-1", "players choose how they get packets; without rtsp.udp_ports there is TCP only"),
	}
}

func otherKeys() []Key {
	return []Key{
		keeps("shell.maxReqSize", "1024", "there is no telnet console"),
		absent("shell.port", "9000", "there is no telnet console").sample("0"),
		keeps("onvif.port", "3702", "cameras are not searched for"),
		keeps("python.plugin", "", "modules are not loaded"),
	}
}
