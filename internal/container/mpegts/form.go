package mpegts

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/vigil-media/vigil/internal/av"
)

// Types of elementary streams (2.4.4.9, table 2-34, and those that others took from the private range).
const (
	typeMPEG1Audio = 0x03
	typeMPEG2Audio = 0x04
	typePrivate    = 0x06 // the descriptors tell
	typeADTS       = 0x0f
	typeH264       = 0x1b
	typeH265       = 0x24
	typeAC3        = 0x81
	typePCMA       = 0x90
	typePCMU       = 0x91
)

// Tags of descriptors (2.6, and ETSI EN 300 468).
const (
	tagRegistration = 0x05
	tagAC3          = 0x6a
	tagExtension    = 0x7f
	tagOpus         = 0x80 // behind tagExtension
)

// Stream ids of PES packets (2.4.3.7, table 2-22).
const (
	idPrivate = 0xbd
	idAudio   = 0xc0
	idVideo   = 0xe0
)

const (
	firstPID  = 0x100 // of the track with the ID 1
	pmtPID    = 0x1000
	trackMost = pmtPID - firstPID // the greatest ID of a track that gets a PID
)

// form is how a track lies in a transport stream.
type form struct {
	typ         byte
	stream      byte
	descriptors []byte
}

// formOf returns the form of a track. ok is false if there is none.
func formOf(t *av.Track) (f form, ok bool) {
	if t.ID < 1 || t.ID > trackMost {
		return f, false
	}
	switch t.Codec { //nolint:exhaustive // the others have none
	case av.H264:
		return form{typ: typeH264, stream: idVideo}, true
	case av.H265:
		return form{typeH265, idVideo, registration("HEVC")}, true
	case av.AAC:
		_, ok = adtsOf(t.Config)
		return form{typ: typeADTS, stream: idAudio}, ok
	case av.MP3:
		if t.SampleRate < 32_000 {
			return form{typ: typeMPEG2Audio, stream: idAudio}, true
		}
		return form{typ: typeMPEG1Audio, stream: idAudio}, true
	case av.AC3:
		return form{typeAC3, idPrivate, registration("AC-3")}, true
	case av.Opus:
		code, ok := opusCode(t.Config)
		return form{typePrivate, idPrivate, append(registration("Opus"), tagExtension, 2, tagOpus, code)}, ok
	case av.PCMA, av.PCMU: // nothing tells the rate: receivers take it for this one
		typ := byte(typePCMA)
		if t.Codec == av.PCMU {
			typ = typePCMU
		}
		return form{typ: typ, stream: idAudio}, t.SampleRate == 8000 && t.Channels == 1
	case av.KLV:
		return form{typePrivate, idPrivate, registration("KLVA")}, true
	default:
		return f, false
	}
}

// registration is a registration descriptor (2.6.8).
func registration(four string) []byte { return append([]byte{tagRegistration, 4}, four...) }

// Carries says whether a transport stream has a form for the track.
func Carries(t *av.Track) bool {
	_, ok := formOf(t)
	return ok
}

// codecOf tells the codec of an elementary stream from its type and its descriptors. 0: none that we carry. detail is the channel
// configuration of Opus.
func codecOf(typ byte, descriptors []byte) (c av.Codec, detail byte) {
	four, ac3, opus := readDescriptors(descriptors)
	switch typ {
	case typeH264:
		return av.H264, 0
	case typeH265:
		return av.H265, 0
	case typeADTS:
		return av.AAC, 0
	case typeMPEG1Audio, typeMPEG2Audio:
		return av.MP3, 0
	case typeAC3:
		return av.AC3, 0
	case typePCMA, typePCMU:
		if four == "HDMV" { // subtitles of a Blu-ray disc
			return 0, 0
		}
		return av.PCMA + av.Codec(typ-typePCMA), 0
	case typePrivate:
		switch {
		case four == "Opus":
			return av.Opus, opus
		case four == "AC-3" || ac3:
			return av.AC3, 0
		case four == "HEVC":
			return av.H265, 0
		case four == "KLVA":
			return av.KLV, 0
		}
	}
	return 0, 0
}

// readDescriptors reads those that tell a codec. What is cut short is ignored.
func readDescriptors(b []byte) (four string, ac3 bool, opus byte) {
	opus = 2
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		body := b[2 : 2+b[1]]
		switch {
		case b[0] == tagRegistration && len(body) >= 4 && four == "":
			four = string(body[:4])
		case b[0] == tagAC3:
			ac3 = true
		case b[0] == tagExtension && len(body) >= 2 && body[0] == tagOpus:
			opus = body[1]
		}
		b = b[2+len(body):]
	}
	return four, ac3, opus
}

// adtsOf returns the fixed part of the ADTS headers of an AAC track: 4 bytes with sync word, profile, rate and channels (ISO/IEC
// 14496-3, 1.A.2.2.1). ok is false for configurations that have no place there: other object types than the first four, rates
// without a number, channels as a program config element has them, and frames of 960 samples. A decoder finds SBR and PS by itself.
func adtsOf(config []byte) (head [4]byte, ok bool) {
	var c mpeg4audio.AudioSpecificConfig
	if c.Unmarshal(config) != nil || c.Type < 1 || c.Type > 4 || c.ChannelConfig < 1 || c.ChannelConfig > 7 ||
		c.FrameLengthFlag || c.DependsOnCoreCoder {
		return head, false
	}
	for i, rate := range adtsRates {
		if rate == c.SampleRate {
			const mpeg4NoCRC = 0xf1
			return [4]byte{0xff, mpeg4NoCRC, byte(c.Type-1)<<6 | byte(i)<<2 | c.ChannelConfig>>2, c.ChannelConfig << 6}, true
		}
	}
	return head, false
}

//nolint:gochecknoglobals // a constant table
var adtsRates = [...]int{96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350}

// opusMaps are the channel mapping tables of Opus for 1 to 8 channels: streams, coupled streams, and the channels in the order of Vorbis
// (RFC 7845, 5.1.1.2).
//
//nolint:gochecknoglobals // a constant table
var opusMaps = [9][]byte{
	3: {2, 1, 0, 2, 1}, 4: {2, 2, 0, 1, 2, 3}, 5: {3, 2, 0, 4, 1, 2, 3}, 6: {4, 2, 0, 4, 1, 2, 3, 5},
	7: {4, 3, 0, 4, 1, 2, 3, 5, 6}, 8: {5, 3, 0, 6, 1, 2, 3, 4, 5, 7},
}

const (
	opusHead   = 19 // bytes of an ID header without mapping table
	opusFamily = 18 // where its channel mapping family is
)

// opusCode is the channel_config_code of an Opus track.
func opusCode(header []byte) (code byte, ok bool) {
	if len(header) < opusHead {
		return 0, false
	}
	channels := header[9]
	switch {
	case header[opusFamily] == 0:
		return channels, channels == 1 || channels == 2
	case header[opusFamily] == 1 && channels >= 3 && channels <= 8:
		return channels, bytes.HasPrefix(header[opusHead:], opusMaps[channels])
	default:
		return 0, false
	}
}

// newOpus makes a track of a channel_config_code.
func newOpus(id int, code byte) (*av.Track, error) {
	switch {
	case code == 0: // two independent channels: nothing else has a word for it
		return av.NewOpusChannels(id, 2)
	case code <= 2 || code > 8:
		return av.NewOpusChannels(id, int(code))
	}
	t, err := av.NewOpusChannels(id, 2)
	if err != nil {
		return nil, err
	}
	head := append(bytes.Clone(t.Config), opusMaps[code]...)
	head[9], head[opusFamily] = code, 1
	return av.NewOpus(id, head)
}
