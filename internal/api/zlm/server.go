package zlm

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/control"
)

// version says what program this is.
func (a *API) version(context.Context, *call) reply {
	v := a.opt.Control.Version()
	built := ""
	if !v.Built.IsZero() {
		built = v.Built.UTC().Format("2006-01-02T15:04:05")
	}
	return data(map[string]string{"buildTime": built, "branchName": v.Name, "commitHash": v.Commit})
}

// threadLoad is how busy one of the original's threads is: here, a part of the server.
type threadLoad struct {
	Load  int    `json:"load"` // percent
	Name  string `json:"name"`
	Holds int    `json:"fd_count"`
	Delay int64  `json:"delay"` // ms
}

// threadLoads describes loads. They are read and not probed, so that a part that hangs delays no answer: it is shown as fully busy.
func threadLoads(all []control.Load) reply {
	out := []threadLoad{}
	for _, l := range all {
		const percent = 100
		busy := int(math.Round(percent * min(max(l.Busy, 0), 1)))
		if l.Stalled {
			busy = percent
		}
		out = append(out, threadLoad{busy, l.Name, l.Holds, l.Delay.Milliseconds()})
	}
	return data(out)
}

func (a *API) shards(context.Context, *call) reply { return threadLoads(a.opt.Control.Shards()) }

func (a *API) workers(context.Context, *call) reply { return threadLoads(a.opt.Control.Workers()) }

// Statistic is what getStatistic answers, and on_server_keepalive tells. Of the original's words, those say something that have a counterpart
// here; the others count buffers of its own making, and are 0.
func Statistic(o control.Objects) any {
	return map[string]int{
		"MediaSource": o.Streams, "MultiMediaSourceMuxer": o.Rings, "TcpServer": o.Listeners, "TcpSession": o.Connections, "Socket": o.Connections,
		"UdpServer": 0, "UdpSession": 0, "TcpClient": 0, "FrameImp": 0, "Frame": 0, "Buffer": 0, "BufferRaw": 0, "BufferLikeString": 0, "BufferList": 0,
		"RtpPacket": 0, "RtmpPacket": 0, "Publisher": o.Publishers, "Viewer": o.Viewers,
	}
}

func (a *API) statistic(context.Context, *call) reply {
	if a.opt.Statistic != nil {
		return data(a.opt.Statistic())
	}
	return data(Statistic(a.opt.Control.Objects()))
}

// readConfig answers all settings, as a list of one.
func (a *API) readConfig(context.Context, *call) reply {
	return data([]map[string]string{a.opt.ReadConfig()})
}

// writeConfig changes settings. All arguments are settings but the secret.
func (a *API) writeConfig(ctx context.Context, c *call) reply {
	set := map[string]string{}
	for _, arg := range c.all {
		switch {
		case strings.EqualFold(arg.name, "secret") || !strings.Contains(arg.name, "."):
		case strings.EqualFold(arg.name, "ffmpeg.bin") || strings.EqualFold(arg.name, "ffmpeg.snap"):
			a.opt.Log.Warn("a program to be run is not set through the API", "key", arg.name)
		default:
			set[arg.name] = arg.value
		}
	}
	changed, err := a.opt.WriteConfig(ctx, set)
	if err != nil {
		return with(codeFailed, err.Error(), fields{"changed": changed})
	}
	return ok(fields{"changed": changed})
}

// restart has another process take over. That begins at once, and this call is still answered.
func (a *API) restart(context.Context, *call) reply {
	if err := a.opt.Control.Restart(); err != nil {
		return failed(codeFailed, err.Error())
	}
	return with(codeSuccess, "MediaServer will reboot in on 1 second", nil)
}

// endTime is as much of a call as what has been told to end has for it: the answer needs a little too.
const endTime = callTime - 200*time.Millisecond
