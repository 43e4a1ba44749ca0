package rtmp

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/amf"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/protocol/conformance"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/chunk"
	"github.com/vigil-media/vigil/internal/protocol/rtmp/internal/handshake"
	"github.com/vigil-media/vigil/internal/sim"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestConversations has a client say what stands behind ">" in testdata/*.txt, and compares what the server answers, behind
// "<", with what stands there.
//
//	> command connect 1 app=live         a command with its transaction; words with = make an object, null is null
//	> flex connect 1 app=live            the same with AMF3's envelope (type 17)
//	> data onMetaData width=5            a data message
//	> units 5                            the next units of an encoder, as messages
//	> chunksize 4096 / window 1000 / ack 5 / ping 77 / bandwidth 5000 / buffer 100
//	> raw 0102…                          bytes
//	> message TYPE HEX                   a message of any type
//	> bigmessage TYPE N                  one with N zeros
//	> wait 5s                            nothing, for so long
//	# a comment
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = converse(t, string(text)) })
			if got == string(text) {
				return
			}
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("the conversation went otherwise (-update writes it anew):\n%s", diff(string(text), got))
		})
	}
}

func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d:\n  want %s\n  got  %s\nall:\n%s", i+1, a, b, got)
		}
	}
	return ""
}

// talker is the client of a conversation.
type talker struct {
	t         testing.TB
	conn      net.Conn
	chunkSize int
	enc       *sim.Encoder
	pub       publication
	answers   chan string
}

// converse has the conversation and returns how it went.
func converse(t *testing.T, text string) string {
	t.Helper()
	c := hub.DefaultConfig()
	c.Play.Wait = 2 * time.Second
	h := conformance.Open(t, Protocol(), conformance.Options{Memory: true, Hub: c})
	talk := &talker{
		t: t, conn: h.MustDial("RTMP"), chunkSize: chunk.DefaultChunkSize, answers: make(chan string, 1000),
		enc: sim.New(sim.Options{Video: av.H264, Audio: av.AAC, GOP: 10}),
	}
	talk.conn.SetDeadline(time.Time{})
	if _, err := handshake.Client(talk.conn, zeros{}, handshake.Simple); err != nil {
		t.Fatal(err)
	}
	go talk.listen()
	var b strings.Builder
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "<"):
		case strings.HasPrefix(line, ">"):
			b.WriteString(line + "\n")
			talk.say(strings.Fields(line[1:]))
			synctest.Wait()
			for len(talk.answers) > 0 {
				b.WriteString("< " + <-talk.answers + "\n")
			}
		default:
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// listen notes what the server says.
func (k *talker) listen() {
	r := chunk.NewReader(k.conn, chunk.Limits{})
	defer close(k.answers)
	for {
		m, err := r.Read()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed) {
				k.answers <- "(closed)"
			} else {
				k.answers <- err.Error()
			}
			return
		}
		k.answers <- describeMessage(m)
	}
}

// describeMessage is a message in words.
func describeMessage(m chunk.Message) string {
	number, _ := m.Uint32()
	switch m.Type {
	case chunk.TypeSetChunkSize:
		return fmt.Sprint("chunksize ", number)
	case chunk.TypeWindowAckSize:
		return fmt.Sprint("window ", number)
	case chunk.TypeSetPeerBandwidth:
		return fmt.Sprint("bandwidth ", number)
	case chunk.TypeAcknowledgement:
		return fmt.Sprint("ack ", number)
	case chunk.TypeUserControl:
		event, data, _ := m.UserControl()
		return fmt.Sprintf("event %d % x", event, data)
	case chunk.TypeCommandAMF0, chunk.TypeDataAMF0:
		values, err := amf.Decode(m.Payload)
		if err != nil {
			return err.Error()
		}
		kind := "command"
		if m.Type == chunk.TypeDataAMF0 {
			kind = "data"
		}
		if m.Stream != 0 {
			kind += fmt.Sprint("@", m.Stream)
		}
		for _, v := range values {
			kind += " " + describeValue(v)
		}
		return kind
	case chunk.TypeAudio, chunk.TypeVideo:
		return fmt.Sprintf("%v at %d, %d bytes", flv.TagType(m.Type), m.Time, len(m.Payload))
	}
	return fmt.Sprintf("type %d % x", m.Type, m.Payload)
}

func describeValue(v any) string {
	if o, ok := amf.Properties(v); ok {
		var parts []string
		for _, p := range o {
			parts = append(parts, p.Name+"="+describeValue(p.Value))
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case amf.Undefined:
		return "undefined"
	case string:
		if strings.ContainsAny(v, " \"") || v == "" {
			return strconv.Quote(v)
		}
		return v
	}
	return fmt.Sprint(v)
}

// say sends what a line says.
func (k *talker) say(words []string) {
	k.t.Helper()
	number := func(i int) uint32 {
		n, err := strconv.ParseUint(words[i], 10, 32)
		if err != nil {
			k.t.Fatal(words, err)
		}
		return uint32(n)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			k.t.Fatal(words, err)
		}
		return b
	}
	var b []byte
	switch words[0] {
	case "command":
		b = k.message(chunk.TypeCommandAMF0, amf.Append(nil, values(words[1:])...))
	case "flex":
		b = k.message(chunk.TypeCommandAMF3, append([]byte{0}, amf.Append(nil, values(words[1:])...)...))
	case "data":
		b = k.message(chunk.TypeDataAMF0, amf.Append(nil, values(words[1:])...))
	case "units":
		for range number(1) {
			b = append(b, k.unit()...)
		}
	case "aggregate":
		b = k.aggregate(int(number(1)))
	case "chunksize":
		b = chunk.AppendSetChunkSize(nil, number(1))
		k.chunkSize = int(number(1))
	case "window":
		b = chunk.AppendWindowAckSize(nil, number(1))
	case "ack":
		b = chunk.AppendAcknowledgement(nil, number(1))
	case "bandwidth":
		b = chunk.AppendSetPeerBandwidth(nil, number(1), chunk.BandwidthDynamic)
	case "ping":
		b = chunk.AppendUserControl(nil, chunk.EventPingRequest, number(1))
	case "buffer":
		b = chunk.AppendUserControl(nil, chunk.EventSetBufferLength, 1, number(1))
	case "raw":
		b = unhex(words[1])
	case "message":
		b = k.message(uint8(number(1)), unhex(words[2]))
	case "bigmessage":
		b = k.message(uint8(number(1)), make([]byte, number(2)))
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			k.t.Fatal(err)
		}
		time.Sleep(d)
	case "leave":
		_ = k.conn.Close()
	default:
		k.t.Fatalf("what is %q?", words)
	}
	if len(b) == 0 {
		return
	}
	k.conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
	if _, err := k.conn.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		k.t.Errorf("%v: %v", words, err)
	}
}

func (k *talker) message(kind uint8, payload []byte) []byte {
	return chunk.AppendMessage(nil, chunk.Message{Type: kind, ChunkStream: 3, Stream: 1, Payload: payload}, k.chunkSize)
}

// unit is the next unit of the encoder, with the configuration that it needs.
func (k *talker) unit() (b []byte) {
	for _, t := range k.tags() {
		b = chunk.AppendMessage(b, message(t.Type, t.Time, t.Body), k.chunkSize)
	}
	return b
}

func (k *talker) tags() (tags []flv.Tag) {
	u := k.enc.Next()
	ms, kind := flv.Milliseconds(u.DTS), flv.TypeFor(u.Track.Kind())
	if k.pub.sent == nil {
		k.pub.sent = map[int]*av.Track{}
	}
	if k.pub.sent[u.Track.ID] != u.Track {
		k.pub.sent[u.Track.ID] = u.Track
		tags = append(tags, flv.Tag{Type: kind, Time: ms, Body: k.pub.form.AppendConfig(nil, u.Track)})
	}
	return append(tags, flv.Tag{Type: kind, Time: ms, Body: k.pub.form.AppendUnit(nil, u)})
}

// aggregate is one message with n units.
func (k *talker) aggregate(n int) []byte {
	var body []byte
	for range n {
		for _, t := range k.tags() {
			body = flv.AppendTag(body, t.Type, t.Time, t.Body)
		}
	}
	return k.message(chunk.TypeAggregate, body)
}

// values makes AMF values of words: the name, the transaction, and arguments.
func values(words []string) []any {
	var all []any
	var object amf.Object
	flush := func() {
		if object != nil {
			all = append(all, object)
			object = nil
		}
	}
	for _, w := range words {
		name, v, is := strings.Cut(w, "=")
		if is && !strings.ContainsAny(name, "?:") {
			object = append(object, amf.Property{Name: name, Value: value(v)})
			continue
		}
		flush()
		all = append(all, value(w))
	}
	flush()
	return all
}

func value(w string) any {
	switch w {
	case "null":
		return nil
	case "undefined":
		return amf.Undefined{}
	case "true", "false":
		return w == "true"
	case `""`:
		return ""
	}
	if f, err := strconv.ParseFloat(w, 64); err == nil {
		return f
	}
	return w
}

// zeros is a source of randomness that is none.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func handshakeClient(c net.Conn) (handshake.Kind, error) {
	return handshake.Client(c, zeros{}, handshake.Simple)
}
