package probe

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// The picture: grey, 16 by 16, one macroblock (H.264 Constrained Baseline, level 1).
const (
	parameters = "\x67\x42\xc0\x0a\xdd\xe4" // SPS
	reference  = "\x68\xce\x38\x80"         // PPS
	slice      = "\x65\x88\x84\x93\xc0"     // IDR
)

// owner is the UUID by which the SEI message that holds the marker says what it is.
const owner = "vigil end-to-end"

const (
	helloSize   = 1 + 1536   // C0 and C1
	answerSize  = 1 + 2*1536 // S0, S1 and S2
	chunkSize   = 1 << 16    // of what is sent here: longer than all messages
	mediaStream = 1          // what the server answers to createStream
)

// Message types, and codes that the server answers with.
const (
	typeChunkSize = 1
	typeVideo     = 9
	typeData      = 18
	typeCommand   = 20

	connected   = "NetConnection.Connect.Success"
	published   = "NetStream.Publish.Start"
	unpublished = "NetStream.Unpublish.Success"
)

// hello is the client's part of the handshake up to the server's answer.
func hello() []byte {
	b := make([]byte, helloSize)
	b[0] = 3 // the version
	return b
}

// connect asks for an application, and for a stream in it.
func connect(app string) []byte {
	b := message(2, typeChunkSize, 0, string(binary.BigEndian.AppendUint32(nil, chunkSize)))
	b = append(b, command(0, text("connect"), number(1), object("app", text(app)), "")...)
	return append(b, command(0, text("createStream"), number(2), null)...)
}

// publish and play are what is asked for on the stream.
func publish(name string) []byte {
	return command(mediaStream, text("publish"), number(3), null, text(name), text("live"))
}

func play(name string) []byte {
	return command(mediaStream, text("play"), number(3), null, text(name), number(-2000))
}

// unpublish says that the publisher is done.
func unpublish(name string) []byte {
	b := command(0, text("FCUnpublish"), number(0), null, text(name))
	return append(b, command(0, text("deleteStream"), number(0), null, number(mediaStream))...)
}

// picture is a key picture with a marker in it, and all that a stream has before it. The marker has no byte 0.
func picture(marker string) []byte {
	b := message(4, typeData, mediaStream, text("onMetaData")+object("hasVideo", yes, "hasAudio", no))
	b = append(b, message(6, typeVideo, mediaStream, "\x17\x00\x00\x00\x00"+ // AVC sequence header
		"\x01"+parameters[1:4]+"\xff\xe1"+sized(parameters)+"\x01"+sized(reference))...)
	note := "\x06\x05" + string([]byte{byte(len(owner) + len(marker))}) + owner + marker + "\x80" // SEI, user data unregistered
	return append(b, message(6, typeVideo, mediaStream, "\x17\x01\x00\x00\x00"+                   // AVC NAL units, key picture
		"\x00\x00"+sized(note)+"\x00\x00"+sized(slice))...)
}

// message is one chunk with a full header and stamp 0.
func message(chunkStream, kind byte, stream uint32, payload string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{chunkStream, 0, 0, 0}, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // it is short
	return append(binary.LittleEndian.AppendUint32(b, stream), payload...)
}

func command(stream uint32, values ...string) []byte {
	return message(3, typeCommand, stream, strings.Join(values, ""))
}

// Values of AMF0.
const (
	null = "\x05"
	yes  = "\x01\x01"
	no   = "\x01\x00"
)

func text(s string) string { return "\x02" + sized(s) }

func number(n float64) string {
	return "\x00" + string(binary.BigEndian.AppendUint64(nil, math.Float64bits(n)))
}

// object takes names and values by turns.
func object(pairs ...string) string {
	var b strings.Builder
	b.WriteString("\x03")
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteString(sized(pairs[i]) + pairs[i+1])
	}
	b.WriteString("\x00\x00\x09")
	return b.String()
}

// sized is s behind its length of 16 bits.
func sized(s string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(s)))) + s //nolint:gosec // it is short
}

// get is a request by HTTP. The token is for what needs one.
func get(host, path, token string) []byte {
	b := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	if token != "" {
		b += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(b + "\r\n")
}

// statusLine is how an answer by HTTP begins.
func statusLine(status int) string { return "HTTP/1.1 " + strconv.Itoa(status) + " " }
