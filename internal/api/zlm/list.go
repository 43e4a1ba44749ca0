package zlm

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/vigil-media/vigil/internal/hub"
	words "github.com/vigil-media/vigil/internal/zlm"
)

// listing is a list of sources as it was answered.
type listing struct {
	begun time.Time       // when the question was asked that it answers
	first *hub.StreamInfo // of the snapshot that it was made of, which lives as long
	n     int
	text  ready
}

// Limits of listings that are kept.
const (
	listsMost = 4 // of different filters
	listsKept = 2 * time.Second
)

// lists makes a long list once for all who ask at the same time: they are let in one by one, and who finds a list that was begun after they
// came takes that. It is as true as if they had made it, and a crowd costs no more than one. Listings are kept for a moment only: they may be
// large, and are soon of no use.
type lists struct {
	turn chan struct{} // held by who makes one

	mu   sync.Mutex // a leaf
	kept map[filter]*listing
}

func newLists() *lists {
	return &lists{turn: make(chan struct{}, 1), kept: map[filter]*listing{}}
}

func (l *lists) of(f filter) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[f]
}

func (l *lists) keep(f filter, made *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) == 0 {
		time.AfterFunc(listsKept, l.drop)
	} else if _, known := l.kept[f]; !known && len(l.kept) >= listsMost {
		return
	}
	l.kept[f] = made
}

// drop forgets all listings.
func (l *lists) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.kept)
}

// listMedia answers the sources that are meant.
func (a *API) listMedia(ctx context.Context, c *call) reply {
	f := c.filter()
	if f.exact() { // at most six objects, and as of now
		infos, at := a.opt.Control.Streams(f.Selection)
		return reply{body: encodeSources(infos, at, f.schema)}
	}
	asked := time.Now()
	select {
	case a.lists.turn <- struct{}{}:
		defer func() { <-a.lists.turn }()
	case <-ctx.Done():
		return failed(codeFailed, "too many lists are being made")
	}
	kept := a.lists.of(f)
	if kept != nil && kept.begun.After(asked) {
		return reply{body: kept.text}
	}
	begun := time.Now()
	infos, at := a.opt.Control.Streams(f.Selection)
	if len(infos) == 0 {
		return ok(nil)
	}
	made := &listing{begun, infos[0], len(infos), nil}
	if kept != nil && kept.first == made.first && kept.n == made.n { // nothing has changed: it is of the same snapshot
		made.text = kept.text
	} else {
		made.text = encodeSources(infos, at, f.schema)
	}
	a.lists.keep(f, made)
	return reply{body: made.text}
}

// sourceSize is about what a source takes as text.
const sourceSize = 1024

// encodeSources writes the sources of streams, of one schema or of all. It is done by hand: there are six for each stream, and reflection takes
// several times as long.
func encodeSources(infos []*hub.StreamInfo, at time.Time, schema words.Schema) ready {
	all := make([]words.Source, 0, len(infos))
	for _, info := range infos {
		if info.Ready && serves(info, schema) {
			all = words.AppendSources(all, info, at, schema)
		}
	}
	text, _ := enumerate(len(all), sourceSize, func(b []byte, i int) []byte { return appendSource(b, &all[i]) }).encoded().body.(ready)
	return text
}

// appendSource writes a source as encoding/json does.
func appendSource(b []byte, s *words.Source) []byte {
	b = appendText(append(b, `{"schema":`...), string(s.Schema))
	b = appendText(append(b, `,"vhost":`...), s.VHost)
	b = appendText(append(b, `,"app":`...), s.App)
	b = appendText(append(b, `,"stream":`...), s.Stream)
	b = appendText(append(b, `,"params":`...), s.Params)
	b = strconv.AppendInt(append(b, `,"createStamp":`...), s.Created, 10)
	b = strconv.AppendInt(append(b, `,"aliveSecond":`...), s.Alive, 10)
	b = strconv.AppendInt(append(b, `,"bytesSpeed":`...), s.Speed, 10)
	b = strconv.AppendUint(append(b, `,"totalBytes":`...), s.Bytes, 10)
	b = appendInt(append(b, `,"readerCount":`...), s.Readers)
	b = appendInt(append(b, `,"totalReaderCount":`...), s.TotalReaders)
	b = appendInt(append(b, `,"originType":`...), int(s.Origin))
	b = appendText(append(b, `,"originTypeStr":`...), s.OriginName)
	b = appendText(append(b, `,"originUrl":`...), s.OriginURL)
	b = strconv.AppendBool(append(b, `,"isRecordingMP4":`...), s.RecordsMP4)
	b = strconv.AppendBool(append(b, `,"isRecordingHLS":`...), s.RecordsHLS)
	b = append(b, `,"originSock":`...)
	if s.Socket == nil {
		b = append(b, `null`...)
	} else {
		b = append(appendSocket(append(b, '{'), s.Socket), '}')
	}
	b = append(b, `,"tracks":[`...)
	for i := range s.Tracks {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrack(b, &s.Tracks[i])
	}
	return append(b, `]}`...)
}

// appendSocket writes the members of a socket.
func appendSocket(b []byte, s *words.Socket) []byte {
	b = appendText(append(b, `"identifier":`...), s.Identifier)
	b = appendText(append(b, `,"local_ip":`...), s.LocalIP)
	b = appendInt(append(b, `,"local_port":`...), s.LocalPort)
	b = appendText(append(b, `,"peer_ip":`...), s.PeerIP)
	return appendInt(append(b, `,"peer_port":`...), s.PeerPort)
}

func appendTrack(b []byte, t *words.Track) []byte {
	b = appendInt(append(b, `{"codec_id":`...), t.Codec)
	b = appendText(append(b, `,"codec_id_name":`...), t.CodecName)
	b = appendInt(append(b, `,"codec_type":`...), t.Type)
	b = strconv.AppendBool(append(b, `,"ready":`...), t.Ready)
	b = strconv.AppendUint(append(b, `,"frames":`...), t.Frames, 10)
	b = strconv.AppendInt(append(b, `,"duration":`...), t.Duration, 10)
	if s := t.Sound; s != nil {
		b = appendInt(append(b, `,"sample_rate":`...), s.SampleRate)
		b = appendInt(append(b, `,"channels":`...), s.Channels)
		b = appendInt(append(b, `,"sample_bit":`...), s.SampleBit)
	}
	if p := t.Picture; p != nil {
		b = appendInt(append(b, `,"width":`...), p.Width)
		b = appendInt(append(b, `,"height":`...), p.Height)
		b = appendDecimal(append(b, `,"fps":`...), p.FPS)
		b = strconv.AppendUint(append(b, `,"key_frames":`...), p.KeyFrames, 10)
		b = appendInt(append(b, `,"gop_size":`...), p.GOPSize)
		b = strconv.AppendInt(append(b, `,"gop_interval_ms":`...), p.GOP, 10)
	}
	return append(appendDecimal(append(b, `,"loss":`...), t.Loss), '}')
}
