package httplive

import (
	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/container/mpegts"
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/stream"
)

// format is a container that the room plays: on the addresses with its suffix, as an endless body or in the messages of a WebSocket. It is
// immutable.
type format struct {
	name         string // for people
	suffix       string // of its addresses
	http, socket string // what its protocols are called

	carries func(*av.Track) bool                 // what it has a place for
	pick    func([]*av.Track) []*av.Track        // what a viewer gets of the tracks of a stream
	media   func(picked []*av.Track) string      // Content-Type
	muxer   func([]*av.Track) stream.Muxer       // of what was picked, as viewers are told in advance
	told    func(picked []*av.Track) [2]av.Codec // what viewers are told in advance: a share is for those who were told the same
}

// formats returns the table of all.
func formats(form flv.Form) []*format {
	return []*format{
		{
			name: "FLV", suffix: ".live.flv", http: "http-flv", socket: "ws-flv",
			carries: form.Carries,
			pick: func(all []*av.Track) []*av.Track {
				video, audio := form.Select(all)
				return present(video, audio)
			},
			media: always("video/x-flv"),
			muxer: func([]*av.Track) stream.Muxer { return newFLV(form) },
			told:  nothing,
		},
		{
			name: "MPEG-TS", suffix: ".live.ts", http: "http-ts", socket: "ws-ts",
			carries: mpegts.Carries,
			pick: func(all []*av.Track) []*av.Track {
				var picked []*av.Track
				for _, t := range all {
					if mpegts.Carries(t) {
						picked = append(picked, t)
					}
				}
				return picked
			},
			media: always("video/mp2t"),
			muxer: func([]*av.Track) stream.Muxer { return &mpegts.Muxer{} },
			told:  nothing,
		},
		{
			name: "fMP4", suffix: ".live.mp4", http: "http-fmp4", socket: "ws-fmp4",
			carries: func(t *av.Track) bool { return fmp4.Carries(t.Codec) },
			pick:    func(all []*av.Track) []*av.Track { return fmp4.Select(all, nil) },
			media:   fmp4.MIME,
			muxer:   func(picked []*av.Track) stream.Muxer { return &fmp4.Muxer{Told: picked} },
			told:    codecsOf,
		},
	}
}

func present(tracks ...*av.Track) []*av.Track {
	var all []*av.Track
	for _, t := range tracks {
		if t != nil {
			all = append(all, t)
		}
	}
	return all
}

func always(media string) func([]*av.Track) string { return func([]*av.Track) string { return media } }

func nothing([]*av.Track) [2]av.Codec { return [2]av.Codec{} }

// codecsOf returns those of at most one video and one audio track.
func codecsOf(picked []*av.Track) (codecs [2]av.Codec) {
	for _, t := range picked {
		if t.Kind() == av.Video {
			codecs[0] = t.Codec
		} else {
			codecs[1] = t.Codec
		}
	}
	return codecs
}

// offer returns which of the tracks a viewer gets, and the Content-Type of that. It fails with fmp4.ErrTracksChanged if there is just now none.
func (f *format) offer(all []*av.Track) (picked []*av.Track, media string, err error) {
	picked = f.pick(all)
	if media = f.media(picked); media == "" {
		return nil, "", fmp4.ErrTracksChanged
	}
	return picked, media, nil
}

// leftOut says of a stream's tracks which viewers do not get, and why; "" if there are none.
func (f *format) leftOut(all, picked []*av.Track) string {
	return protocol.LeftOut(f.name, f.carries, all, picked)
}

// codecs is what the room can play, in one format or another.
func codecs() []av.Codec {
	return []av.Codec{
		av.H264, av.H265, av.AV1, av.VP8, av.VP9, av.AAC, av.Opus, av.PCMA, av.PCMU, av.MP3, av.AC3, av.FLAC, av.KLV,
	}
}
