package zlm

import (
	"context"
	"maps"
	"net/http"
)

// notYet is the message of what this server does not have.
func notYet(what string) string { return "this server does not have " + what + " yet" }

// later is the endpoints whose features are to come. They check what they would check, and then answer as the original does when it cannot.
func (a *API) later() []endpoint {
	all := a.laterProxies()
	all = append(all, a.laterRTP()...)
	all = append(all, a.laterRecords()...)
	return append(all, a.laterRest()...)
}

// cannot answers that something failed, for want of a feature. more may be nil.
func cannot(what string, more fields) func(context.Context, *call) reply {
	return func(context.Context, *call) reply { return with(codeFailed, notYet(what), clone(more)) }
}

// missing answers that something was not found, as nothing of a feature is.
func missing(msg, what string) func(context.Context, *call) reply {
	return func(context.Context, *call) reply { return failed(codeNotFound, msg+": "+notYet(what)) }
}

// nothing answers a success: there is nothing of a feature. more may be nil.
func nothing(what string, more fields) func(context.Context, *call) reply {
	return func(context.Context, *call) reply { return with(codeSuccess, notYet(what), clone(more)) }
}

// listed is the same, of a list that can be asked for a single key.
func listed(what string) func(context.Context, *call) reply {
	return func(_ context.Context, c *call) reply {
		if key := c.text("key"); key != "" {
			return failed(codeException, "key not found: "+clip(key))
		}
		return with(codeSuccess, notYet(what), nil)
	}
}

// of answers that a stream is not there, by any schema, or as then does.
func (a *API) of(msg string, then func(context.Context, *call) reply) func(context.Context, *call) reply {
	return func(ctx context.Context, c *call) reply {
		if !a.has(c) {
			return failed(codeNotFound, msg)
		}
		return then(ctx, c)
	}
}

// clone copies what calls of an endpoint have in common, since each adds to it.
func clone(f fields) fields {
	out := fields{}
	maps.Copy(out, f)
	return out
}

// flagged is the data of deletions: whether there was something.
func flagged() fields { return fields{"data": map[string]bool{"flag": false}} }

func (a *API) laterProxies() []endpoint {
	const pull, push, program = "pull proxies", "push proxies", "sources by ffmpeg"
	proxy := missing("can not find the stream proxy", pull)
	return []endpoint{
		{path: "addStreamProxy", required: need(stream3 + " url"), do: cannot(pull, nil)},
		{path: "delStreamProxy", required: need("key"), do: nothing(pull, flagged())},
		{path: "listStreamProxy", do: listed(pull)},
		{path: "getProxyInfo", required: need("key"), do: missing("can not find the proxy", pull)},
		{path: "setStreamSpeed", kind: kindJSON, required: need("key speed"), do: proxy},
		{path: "pauseStream", kind: kindJSON, required: need("key"), do: proxy},
		{path: "seekStream", kind: kindJSON, required: need("key position"), do: proxy},
		{path: "addFFmpegSource", required: need("src_url dst_url timeout_ms"), do: cannot(program, nil)},
		{path: "delFFmpegSource", required: need("key"), do: nothing(program, flagged())},
		{path: "listFFmpegSource", do: nothing(program, nil)},

		{path: "addStreamPusherProxy", required: need(source4 + " dst_url"), do: func(ctx context.Context, c *call) reply {
			if s, _ := a.find(c); s == nil {
				return failed(codeFailed, noSource)
			}
			return cannot(push, nil)(ctx, c)
		}},
		{path: "delStreamPusherProxy", required: need("key"), do: nothing(push, flagged())},
		{path: "listStreamPusherProxy", do: listed(push)},
		{path: "getProxyPusherInfo", required: need("key"), do: missing("can not find pusher", push)},
	}
}

func (a *API) laterRTP() []endpoint {
	const receive, send = "RTP servers", "RTP senders"
	sender := a.of(noSource, cannot(send, fields{"local_port": 0}))
	return []endpoint{
		{path: "openRtpServer", required: need("port stream_id"), do: cannot(receive, nil)},
		{path: "openRtpServerMultiplex", required: need("port stream_id"), do: cannot(receive, nil)},
		{path: "connectRtpServer", required: need("stream_id dst_url dst_port"), do: func(context.Context, *call) reply {
			return failed(codeFailed, noStream+": "+notYet(receive))
		}},
		{path: "closeRtpServer", required: need("stream_id"), do: nothing(receive, fields{"hit": 0})},
		{path: "updateRtpServerSSRC", required: need("stream_id ssrc"), do: missing("RtpServer not found by stream_id", receive)},
		{path: "listRtpServer", do: nothing(receive, nil)},
		{path: "getRtpInfo", required: need("stream_id"), do: nothing(receive, fields{"exist": false})},
		{path: "pauseRtpCheck", required: need("stream_id"), do: missing(noStream, receive)},
		{path: "resumeRtpCheck", required: need("stream_id"), do: missing(noStream, receive)},

		{path: "startSendRtp", required: need(stream3 + " ssrc dst_url dst_port is_udp"), do: sender},
		{path: "startSendRtpPassive", required: need(stream3 + " ssrc"), do: sender},
		{path: "startSendRtpTalk", required: need(stream3 + " ssrc recv_stream_id"), do: sender},
		{path: "stopSendRtp", required: need(stream3), do: a.of(noStream, func(context.Context, *call) reply {
			return failed(codeFailed, "stopSendRtp failed: "+notYet(send))
		})},
		{path: "listRtpSender", required: need(stream3), do: a.of(noStream, nothing(send, fields{"bytesSpeed": 0, "totalBytes": 0}))},
	}
}

func (a *API) laterRecords() []endpoint {
	const record, vod, snap = "recording", "playback of recordings", "snapshots"
	said := func(c code, result any, msg string) func(context.Context, *call) reply {
		return a.of(noStream, func(context.Context, *call) reply { return with(c, msg, fields{"result": result}) })
	}
	return []endpoint{
		{path: "startRecord", required: need("type " + stream3), do: said(codeFailed, false, "start record failed: "+notYet(record))},
		{path: "stopRecord", required: need("type " + stream3), do: said(codeSuccess, true, "success")}, // what does not run stops so
		{path: "isRecording", required: need("type " + stream3), do: func(_ context.Context, c *call) reply {
			if !a.has(c) {
				return with(codeNotFound, noStream, fields{"status": false})
			}
			return ok(fields{"status": false})
		}},
		{path: "startRecordTask", required: need(stream3 + " path back_ms forward_ms"), do: a.of(noStream, cannot(record, nil))},
		{path: "setRecordSpeed", required: need(source4 + " speed"), do: said(codeFailed, -1, "set failed: "+notYet(vod))},
		{path: "seekRecordStamp", required: need(source4 + " stamp"), do: said(codeFailed, -1, "seek failed: "+notYet(vod))},
		{path: "getMP4RecordFile", required: need(stream3), do: nothing(record, fields{
			"data": map[string]any{"paths": []string{}, "rootPath": ""},
		})},
		{path: "deleteRecordDirectory", required: need(stream3), do: cannot(record, fields{"path": ""})},
		{path: "deleteSnapDirectory", required: need(stream3), do: cannot(snap, fields{"path": ""})},
		{path: "loadMP4File", required: need(stream3 + " file_path"), do: cannot(vod, nil)},
		// Clients take whatever comes with a status of success for a picture.
		{path: "getSnap", required: need("url timeout_sec expire_sec"), do: func(context.Context, *call) reply {
			return failed(codeFailed, notYet(snap)).as(http.StatusNotImplemented)
		}},
	}
}

func (a *API) laterRest() []endpoint {
	const browsers, cameras, wall = "WebRTC", "the search for cameras by ONVIF", "the video wall"
	refused := func(context.Context, *call) reply {
		return reply{body: plain(notYet(browsers) + "\n"), status: http.StatusNotAcceptable}
	}
	picture := need("id width height row col url gapv gaph span")
	return []endpoint{
		{path: "webrtc", kind: kindText, required: need("type"), open: true, do: func(context.Context, *call) reply {
			return failed(codeException, notYet(browsers))
		}},
		{path: "whip", kind: kindText, open: true, do: refused},
		{path: "whep", kind: kindText, open: true, do: refused},
		{path: "delete_webrtc", required: need("id token"), open: true, do: func(_ context.Context, c *call) reply {
			if c.r.Method != http.MethodDelete {
				return failed(codeException, "this is called by DELETE")
			}
			return reply{body: plain("id not found\n"), status: http.StatusNotFound}
		}},
		{path: "addWebrtcRoomKeeper", required: need("server_host server_port room_id ssl"), do: cannot(browsers, nil)},
		{path: "delWebrtcRoomKeeper", required: need("room_key"), do: cannot(browsers, nil)},
		{path: "listWebrtcRoomKeepers", do: nothing(browsers, nil)},
		{path: "listWebrtcRooms", do: nothing(browsers, nil)},
		{path: "getWebrtcProxyPlayerInfo", required: need("key"), do: missing("can not find the proxy", browsers)},

		{path: "searchOnvifDevice", required: need("timeout_ms"), do: nothing(cameras, nil)},
		{path: "getStreamUrl", required: need("onvif_url"), do: cannot(cameras, fields{"http_code": 0})},

		{path: "stack/start", kind: kindJSON, required: picture, do: cannot(wall, nil)},
		{path: "stack/reset", kind: kindJSON, required: picture, do: cannot(wall, nil)},
		{path: "stack/stop", required: need("id"), do: cannot(wall, nil)},

		{path: "downloadBin", do: func(context.Context, *call) reply {
			return failed(codeFailed, "this server does not give its program away")
		}},
	}
}
