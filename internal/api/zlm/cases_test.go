package zlm

import "net/http"

// documented is every endpoint of the reference.
const documented = `getApiList version getThreadsLoad getWorkThreadsLoad getStatistic getServerConfig setServerConfig restartServer downloadBin
	login logout getMediaList isMediaOnline getMediaInfo getMediaPlayerList close_stream close_streams getAllSession kick_session kick_sessions
	broadcastMessage addProbe addStreamProxy delStreamProxy listStreamProxy getProxyInfo setStreamSpeed pauseStream seekStream addFFmpegSource
	delFFmpegSource listFFmpegSource addStreamPusherProxy delStreamPusherProxy listStreamPusherProxy getProxyPusherInfo openRtpServer
	openRtpServerMultiplex connectRtpServer closeRtpServer updateRtpServerSSRC listRtpServer getRtpInfo pauseRtpCheck resumeRtpCheck startSendRtp
	startSendRtpPassive startSendRtpTalk stopSendRtp listRtpSender startRecord stopRecord isRecording startRecordTask setRecordSpeed
	seekRecordStamp getMP4RecordFile deleteRecordDirectory deleteSnapDirectory loadMP4File getSnap downloadFile webrtc whip whep delete_webrtc
	addWebrtcRoomKeeper delWebrtcRoomKeeper listWebrtcRoomKeepers listWebrtcRooms getWebrtcProxyPlayerInfo searchOnvifDevice getStreamUrl
	stack/start stack/reset stack/stop`

const (
	cam1  = "vhost=__defaultVhost__&app=live&stream=cam1"
	cam2  = "vhost=__defaultVhost__&app=live&stream=cam2"
	none  = "vhost=__defaultVhost__&app=live&stream=none"
	dark  = "vhost=__defaultVhost__&app=live&stream=dark"
	send  = "&ssrc=1&dst_url=192.0.2.9&dst_port=9&is_udp=1"
	stack = "id=1&width=2&height=2&row=1&col=1&url=x&gapv=0&gaph=0&span=x"
)

// cases are calls with the secret, over the streams of populate. Each is made by each transport that its kind has, and has the same answer,
// that of the golden file NAME[-VARIANT].
var cases = []struct {
	name, variant, args string
	code                int
	status              int // 0: 200
}{
	{"getApiList", "", "", 0, 0},
	{"version", "", "", 0, 0},
	{"getThreadsLoad", "", "", 0, 0},
	{"getWorkThreadsLoad", "", "", 0, 0},
	{"getStatistic", "", "", 0, 0},
	{"getServerConfig", "", "", 0, 0},
	{"setServerConfig", "", "http.port=8081&hook.on_play=&ffmpeg.snap=x&protocol.downloadRoot=./www&general.mediaServerId=wvp", 0, 0},
	{"setServerConfig", "nothing", "plain=1", 0, 0},
	{"restartServer", "", "", 0, 0},
	{"login", "", "digest=0", -100, 0},
	{"logout", "", "", 0, 0},
	{"downloadBin", "", "", -1, 0},

	{"getMediaList", "", "", 0, 0},
	{"getMediaList", "schema", "schema=rtsp", 0, 0},
	{"getMediaList", "exact", "schema=fmp4&" + cam2, 0, 0},
	{"getMediaList", "app", "app=live&stream=cam2&schema=hls", 0, 0},
	{"getMediaList", "none", "app=other", 0, 0},
	{"getMediaList", "vhost", "vhost=other", 0, 0},
	{"getMediaList", "unready", dark, 0, 0},
	{"getMediaList", "bad-schema", "schema=webm", 0, 0},
	{"isMediaOnline", "", "schema=rtsp&" + cam1, 0, 0},
	{"isMediaOnline", "none", "schema=rtsp&" + none, 0, 0},
	{"isMediaOnline", "unready", "schema=rtsp&" + dark, 0, 0},
	{"isMediaOnline", "bad-schema", "schema=webm&" + cam1, 0, 0},
	{"getMediaInfo", "", "schema=rtsp&" + cam1, 0, 0},
	{"getMediaInfo", "none", "schema=rtsp&" + none, -500, 0},
	{"getMediaInfo", "bad-schema", "schema=webm&" + cam1, -500, 0},
	{"getMediaPlayerList", "", "schema=rtmp&" + cam1, 0, 0},
	{"getMediaPlayerList", "nobody", "schema=ts&" + cam1, 0, 0},
	{"getMediaPlayerList", "none", "schema=ts&" + none, -500, 0},
	{"close_stream", "", "schema=rtsp&" + cam2, 0, 0},
	{"close_stream", "watched", "schema=rtsp&" + cam1, -1, 0},
	{"close_stream", "force", "schema=rtsp&force=1&" + cam1, 0, 0},
	{"close_stream", "unready", "schema=rtmp&" + dark, 0, 0},
	{"close_stream", "none", "schema=rtsp&" + none, -500, 0},
	{"close_stream", "bad-schema", "schema=webm&force=1&" + cam1, -500, 0},
	{"close_streams", "", "", 0, 0},
	{"close_streams", "force", "force=true&vhost=__defaultVhost__&app=live", 0, 0},
	{"close_streams", "schema", "force=1&schema=rtsp&" + cam1, 0, 0},
	{"close_streams", "none", "app=other&force=1", 0, 0},
	{"broadcastMessage", "", "schema=rtsp&msg=hello&" + cam1, 0, 0},
	{"broadcastMessage", "none", "schema=rtsp&msg=hello&" + none, -500, 0},
	{"addProbe", "", "probe_ms=100&" + cam1, 0, 0},
	{"addProbe", "none", "probe_ms=100&" + none, -500, 0},

	{"getAllSession", "", "", 0, 0},
	{"getAllSession", "filter", "peer_ip=192.0.2.1&local_port=1935", 0, 0},
	{"getAllSession", "none", "peer_ip=192.0.2.2", 0, 0},
	{"getAllSession", "malformed", "peer_ip=there", 0, 0},
	{"kick_session", "", "id=00b1", 0, 0},
	{"kick_session", "publisher", "id=00a1", 0, 0},
	{"kick_session", "none", "id=77", -1, 0},
	{"kick_sessions", "", "", 0, 0},
	{"kick_sessions", "port", "local_port=1935", 0, 0},
	{"kick_sessions", "none", "local_port=9", 0, 0},
	{"kick_sessions", "malformed", "local_port=rtmp", -300, 0},

	{"addStreamProxy", "", "url=rtsp://192.0.2.3/x&" + none, -1, 0},
	{"delStreamProxy", "", "key=x", 0, 0},
	{"listStreamProxy", "", "", 0, 0},
	{"listStreamProxy", "key", "key=x", -400, 0},
	{"getProxyInfo", "", "key=x", -500, 0},
	{"setStreamSpeed", "", "key=x&speed=2", -500, 0},
	{"pauseStream", "", "key=x", -500, 0},
	{"seekStream", "", "key=x&position=1", -500, 0},
	{"addFFmpegSource", "", "src_url=a&dst_url=b&timeout_ms=1", -1, 0},
	{"delFFmpegSource", "", "key=x", 0, 0},
	{"listFFmpegSource", "", "", 0, 0},
	{"addStreamPusherProxy", "", "dst_url=x&schema=rtmp&" + cam1, -1, 0},
	{"addStreamPusherProxy", "none", "dst_url=x&schema=rtmp&" + none, -1, 0},
	{"delStreamPusherProxy", "", "key=x", 0, 0},
	{"listStreamPusherProxy", "", "", 0, 0},
	{"getProxyPusherInfo", "", "key=x", -500, 0},

	{"openRtpServer", "", "port=0&stream_id=0A", -1, 0},
	{"openRtpServerMultiplex", "", "port=0&stream_id=0A", -1, 0},
	{"connectRtpServer", "", "stream_id=0A&dst_url=192.0.2.9&dst_port=9", -1, 0},
	{"closeRtpServer", "", "stream_id=0A", 0, 0},
	{"updateRtpServerSSRC", "", "stream_id=0A&ssrc=1", -500, 0},
	{"listRtpServer", "", "", 0, 0},
	{"getRtpInfo", "", "stream_id=0A", 0, 0},
	{"pauseRtpCheck", "", "stream_id=0A", -500, 0},
	{"resumeRtpCheck", "", "stream_id=0A", -500, 0},
	{"startSendRtp", "", cam1 + send, -1, 0},
	{"startSendRtp", "none", none + send, -500, 0},
	{"startSendRtpPassive", "", cam1 + send, -1, 0},
	{"startSendRtpTalk", "", cam1 + "&ssrc=1&recv_stream_id=2", -1, 0},
	{"stopSendRtp", "", cam1, -1, 0},
	{"stopSendRtp", "none", none, -500, 0},
	{"listRtpSender", "", cam1, 0, 0},
	{"listRtpSender", "none", none, -500, 0},

	{"startRecord", "", "type=1&" + cam1, -1, 0},
	{"startRecord", "none", "type=1&" + none, -500, 0},
	{"stopRecord", "", "type=1&" + cam1, 0, 0},
	{"isRecording", "", "type=1&" + cam1, 0, 0},
	{"isRecording", "none", "type=1&" + none, -500, 0},
	{"startRecordTask", "", "path=x&back_ms=1&forward_ms=1&" + cam1, -1, 0},
	{"setRecordSpeed", "", "schema=rtsp&speed=2&" + cam1, -1, 0},
	{"seekRecordStamp", "", "schema=rtsp&stamp=2&" + cam1, -1, 0},
	{"getMP4RecordFile", "", none, 0, 0},
	{"deleteRecordDirectory", "", none, -1, 0},
	{"deleteSnapDirectory", "", none, -1, 0},
	{"loadMP4File", "", "file_path=/x&" + none, -1, 0},
	{"getSnap", "", "url=x&timeout_sec=1&expire_sec=1", -1, http.StatusNotImplemented},
	{"downloadFile", "", "file_path=/none", 0, http.StatusUnauthorized},

	{"webrtc", "", "type=play&app=live&stream=cam1", -400, 0},
	{"whip", "", "app=live&stream=cam1", 0, http.StatusNotAcceptable},
	{"whep", "", "app=live&stream=cam1", 0, http.StatusNotAcceptable},
	{"delete_webrtc", "", "id=1&token=2", -400, 0},
	{"addWebrtcRoomKeeper", "", "server_host=a&server_port=1&room_id=b&ssl=0", -1, 0},
	{"delWebrtcRoomKeeper", "", "room_key=a", -1, 0},
	{"listWebrtcRoomKeepers", "", "", 0, 0},
	{"listWebrtcRooms", "", "", 0, 0},
	{"getWebrtcProxyPlayerInfo", "", "key=x", -500, 0},
	{"searchOnvifDevice", "", "timeout_ms=1", 0, 0},
	{"getStreamUrl", "", "onvif_url=x", -1, 0},
	{"stack/start", "", stack, -1, 0},
	{"stack/reset", "", stack, -1, 0},
	{"stack/stop", "", "id=1", -1, 0},
}
