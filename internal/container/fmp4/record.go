package fmp4

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/nal"
)

// lengthSize is the size of the lengths before NAL units that we write.
const lengthSize = 4

const (
	avccSPSMax = 31  // 5 bits
	avccPPSMax = 255 // 8 bits
)

// Object types of esds (MP4 registration authority).
const (
	objectAAC      = 0x40
	objectMPEG2AAC = 0x66 // to 0x68: main, LC, SSR
	objectMPEG2SSR = 0x68
	objectMPEG2MP3 = 0x69
	objectMPEG1MP3 = 0x6b
)

// appendAVCC appends an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1.2).
func appendAVCC(dst []byte, t *av.Track) []byte {
	sets := nal.Sort(t.Codec, t.Sets)
	sps := sets[nal.SPS][0]
	dst = append(dst, 1, sps[1], sps[2], sps[3], 0xfc|(lengthSize-1))
	list := sets[nal.SPS][:min(len(sets[nal.SPS]), avccSPSMax)]
	dst = appendSets(append(dst, 0xe0|byte(len(list))), list)
	list = sets[nal.PPS][:min(len(sets[nal.PPS]), avccPPSMax)]
	dst = appendSets(append(dst, byte(len(list))), list)
	switch sps[1] {
	case 66, 77, 88: // the profiles without chroma and depth fields
		return dst
	}
	var s h264.SPS
	if s.Unmarshal(sps) != nil {
		return dst
	}
	return append(dst, 0xfc|byte(s.ChromaFormatIdc), 0xf8|byte(s.BitDepthLumaMinus8), 0xf8|byte(s.BitDepthChromaMinus8), 0)
}

// appendHVCC appends an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1.2). Its arrays are complete, as hvc1 wants
// them.
func appendHVCC(dst []byte, t *av.Track) []byte {
	const complete = 0x80
	sets := nal.Sort(t.Codec, t.Sets)
	var s h265.SPS
	_ = s.Unmarshal(sets[nal.SPS][0]) // av has read it already
	ptl := profileTierLevel(t)
	dst = append(append(dst, 1), ptl[:]...)
	dst = append(dst,
		0xf0, 0, // min_spatial_segmentation_idc: unknown
		0xfc, // parallelismType: unknown
		0xfc|byte(s.ChromaFormatIdc), 0xf8|byte(s.BitDepthLumaMinus8), 0xf8|byte(s.BitDepthChromaMinus8),
		0, 0, // avgFrameRate: unspecified
		(s.MaxSubLayersMinus1+1)<<3|bit(s.TemporalIDNestingFlag)<<2|(lengthSize-1))
	at := len(dst)
	dst = append(dst, 0)
	for _, list := range sets {
		if len(list) == 0 {
			continue
		}
		dst[at]++
		dst = append(dst, complete|list[0][0]>>1&63)
		dst = appendSets(appendUint16(dst, len(list)), list)
	}
	return dst
}

func appendSets(dst []byte, list [][]byte) []byte {
	for _, s := range list {
		dst = append(appendUint16(dst, len(s)), s...)
	}
	return dst
}

// appendAV1C appends an AV1CodecConfigurationRecord (AV1 binding, 2.3.3).
func appendAV1C(dst []byte, t *av.Track) []byte {
	var s av1.SequenceHeader
	_ = s.Unmarshal(t.Config) // av has read it already
	level, tier := av1Level(&s)
	c := &s.ColorConfig
	dst = append(dst, 0x81, s.SeqProfile<<5|level,
		tier<<7|bit(c.HighBitDepth)<<6|bit(c.TwelveBit)<<5|bit(c.MonoChrome)<<4|
			bit(c.SubsamplingX)<<3|bit(c.SubsamplingY)<<2|byte(c.ChromaSamplePosition),
		0) // no initial presentation delay
	return appendOBU(dst, t.Config)
}

// appendESDS appends an ES_Descriptor (ISO/IEC 14496-1, 7.2.6.5) around a decoder's configuration, if there is one.
func appendESDS(dst []byte, object byte, config []byte) []byte {
	const (
		tagES, tagDecoder, tagSpecific, tagSL = 3, 4, 5, 6
		audioStream                           = 5<<2 | 1
		forMP4                                = 2
	)
	var inner []byte
	inner = append(inner, object, audioStream)
	inner = appendZeros(inner, 3+4+4) // size of the decoding buffer, bit rates: unknown
	if len(config) > 0 {
		inner = appendDescriptor(inner, tagSpecific, config)
	}
	es := []byte{0, 0, 0} // ES_ID, which is 0 in a file; no flags
	es = appendDescriptor(es, tagDecoder, inner)
	es = appendDescriptor(es, tagSL, []byte{forMP4})
	return appendDescriptor(dst, tagES, es)
}

// appendDescriptor puts tag and size before a body (ISO/IEC 14496-1, 8.3.3). A configuration has up to 4 KiB, so that
// two digits of 7 bits are enough.
func appendDescriptor(dst []byte, tag byte, body []byte) []byte {
	dst = append(dst, tag)
	if n := len(body); n >= 0x80 {
		dst = append(dst, byte(n>>7)|0x80)
	}
	return append(append(dst, byte(len(body))&0x7f), body...)
}

// mp3Object is the object type of an MP3 track: MPEG-1 or MPEG-2 layer III.
func mp3Object(t *av.Track) byte {
	if t.SampleRate < mpeg1Rate {
		return objectMPEG2MP3
	}
	return objectMPEG1MP3
}

// appendDOps appends the body of a dOps box (Opus in ISO base media, 4.3.2): the ID header without its magic, in version 0 and network
// byte order.
func appendDOps(dst []byte, t *av.Track) []byte {
	h := t.Config[8:]
	le := binary.LittleEndian
	dst = append(dst, 0, h[1])
	dst = appendUint16(dst, int(le.Uint16(h[2:])))
	dst = appendUint32(dst, le.Uint32(h[4:]))
	dst = appendUint16(dst, int(le.Uint16(h[8:])))
	if h[10] == 0 { // family 0 has no mapping table
		return append(dst, 0)
	}
	return append(dst, h[10:]...)
}

// appendDAC3 appends the body of a dac3 box (ETSI TS 102 366, F.4). A track tells the sampling rate and the number of channels; the
// rest is what it usually is, and is also in each frame, from where decoders take it.
func appendDAC3(dst []byte, t *av.Track) []byte {
	const bsid, stereo, surround = 8, 2, 7
	rate := uint32(0)
	switch t.SampleRate {
	case 44_100:
		rate = 1
	case 32_000:
		rate = 2
	}
	mode, lfe := uint32(stereo), uint32(0)
	switch t.Channels {
	case 1:
		mode = 1
	case 3:
		mode = 3
	case 4:
		mode = 6
	case 5:
		mode = surround
	case 6:
		mode, lfe = surround, 1
	}
	bitRate := uint32(10) // 192 kbit/s (table F.4.1)
	if t.Channels > 2 {
		bitRate = 15 // 448 kbit/s
	}
	v := rate<<22 | bsid<<17 | mode<<11 | lfe<<10 | bitRate<<5
	return append(dst, byte(v>>16), byte(v>>8), byte(v))
}
