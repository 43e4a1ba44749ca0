package flv

import (
	"fmt"

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

// parseAVCC reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1.2). What comes after the picture
// parameter sets repeats fields of the sequence parameter set and is not read. The sets are copies.
func parseAVCC(b []byte) (sets nal.Sets, nalSize int, err error) {
	c := cursor{b: b}
	version := c.uint(1)
	c.take(3) // profile, compatibility, level
	nalSize = int(c.uint(1)&3) + 1
	if err = readSets(&sets, &c, av.H264, int(c.uint(1)&31)); err == nil {
		err = readSets(&sets, &c, av.H264, int(c.uint(1)))
	}
	return sets, nalSize, checkRecord("avcC", &c, version == 1, err)
}

// parseHVCC reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1.2). Early encoders wrote version 0.
// The sets are copies.
func parseHVCC(b []byte) (sets nal.Sets, nalSize int, err error) {
	c := cursor{b: b}
	version := c.uint(1)
	c.take(20) // profile to frame rate
	nalSize = int(c.uint(1)&3) + 1
	for arrays := c.uint(1); arrays > 0 && !c.short && err == nil; arrays-- {
		c.take(1) // completeness and type, which the NAL units tell too
		err = readSets(&sets, &c, av.H265, int(c.uint(2)))
	}
	return sets, nalSize, checkRecord("hvcC", &c, version <= 1, err)
}

// readSets reads n NAL units, each behind 16 bits of length, and sorts them in. What is empty or no parameter set (an SEI
// message, say) is left out.
func readSets(sets *nal.Sets, c *cursor, codec av.Codec, n int) error {
	for ; n > 0 && !c.short; n-- {
		if _, err := sets.Put(codec, c.take(int(c.uint(2)))); err != nil {
			return err
		}
	}
	return nil
}

// checkRecord says what is wrong with a record that has been read; err is what was wrong with its sets.
func checkRecord(name string, c *cursor, version bool, err error) error {
	switch {
	case c.short:
		return fmt.Errorf("%s of %d bytes, at %d: %w", name, len(c.b), c.at, errShort)
	case !version:
		return fmt.Errorf("%s of version %d", name, c.b[0])
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parseAV1C returns the configOBUs of an AV1CodecConfigurationRecord (AV1 ISO binding, 2.3.3).
func parseAV1C(b []byte) ([]byte, error) {
	c := cursor{b: b}
	marker := c.uint(1)
	c.take(3)
	if c.short {
		return nil, fmt.Errorf("av1C of %d bytes: %w", len(b), errShort)
	}
	if marker != 0x81 {
		return nil, fmt.Errorf("av1C begins with %#02x", marker)
	}
	return c.rest(), nil
}

// appendAVCC appends an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1.2).
func appendAVCC(dst []byte, t *av.Track) []byte {
	sets := nal.Sort(t.Codec, t.Sets)
	sps := sets[nal.SPS][0]
	dst = append(dst, 1, sps[1], sps[2], sps[3], 0xfc|(lengthSize-1))
	list := sets[nal.SPS][:min(len(sets[nal.SPS]), avccSPSMax)]
	dst = appendSets(append(dst, 0xe0|byte(len(list))), list)
	list = sets[nal.PPS][:min(len(sets[nal.PPS]), avccPPSMax)]
	dst = appendSets(append(dst, byte(len(list))), list)
	// The profiles with chroma and depth fields. The standard names 100, 110, 122 and 144 here; those that came later
	// have the fields too.
	switch sps[1] {
	case 66, 77, 88:
		return dst
	}
	var s h264.SPS
	if s.Unmarshal(sps) != nil {
		return dst
	}
	return append(dst, 0xfc|byte(s.ChromaFormatIdc), 0xf8|byte(s.BitDepthLumaMinus8), 0xf8|byte(s.BitDepthChromaMinus8), 0)
}

// appendHVCC appends an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1.2). The arrays are not marked as
// complete, as units may carry parameter sets too.
func appendHVCC(dst []byte, t *av.Track) []byte {
	sets := nal.Sort(t.Codec, t.Sets)
	var s h265.SPS
	_ = s.Unmarshal(sets[nal.SPS][0]) // av has read it already
	ptl := make([]byte, 0, 64)
	ptl = append(ptl, h264.EmulationPreventionRemove(sets[nal.SPS][0])...)
	ptl = append(ptl, make([]byte, 15)...)[3:15] // general_profile_space to general_level_idc (H.265, 7.3.3)
	dst = append(append(dst, 1), ptl...)
	nested := byte(0)
	if s.TemporalIDNestingFlag {
		nested = 1
	}
	dst = append(dst,
		0xf0, 0, // min_spatial_segmentation_idc: unknown
		0xfc, // parallelismType: unknown
		0xfc|byte(s.ChromaFormatIdc), 0xf8|byte(s.BitDepthLumaMinus8), 0xf8|byte(s.BitDepthChromaMinus8),
		0, 0, // avgFrameRate: unspecified
		(s.MaxSubLayersMinus1+1)<<3|nested<<2|(lengthSize-1))
	at := len(dst)
	dst = append(dst, 0)
	for _, list := range sets {
		if len(list) == 0 {
			continue
		}
		dst[at]++
		dst = append(dst, list[0][0]>>1&63, byte(len(list)>>8), byte(len(list)))
		dst = appendSets(dst, list)
	}
	return dst
}

func appendSets(dst []byte, list [][]byte) []byte {
	for _, s := range list {
		dst = append(append(dst, byte(len(s)>>8), byte(len(s))), s...)
	}
	return dst
}

// appendAV1C appends an AV1CodecConfigurationRecord (AV1 ISO binding, 2.3.3).
func appendAV1C(dst []byte, t *av.Track) []byte {
	var s av1.SequenceHeader
	_ = s.Unmarshal(t.Config) // av has read it already
	var level, tier byte
	if len(s.SeqLevelIdx) > 0 {
		level, tier = s.SeqLevelIdx[0], bit(s.SeqTier[0])
	}
	c := &s.ColorConfig
	dst = append(dst, 0x81, s.SeqProfile<<5|level,
		tier<<7|bit(c.HighBitDepth)<<6|bit(c.TwelveBit)<<5|bit(c.MonoChrome)<<4|
			bit(c.SubsamplingX)<<3|bit(c.SubsamplingY)<<2|byte(c.ChromaSamplePosition),
		0) // no initial presentation delay
	return appendOBU(dst, t.Config)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// vp8Record is the VPCodecConfigurationRecord of VP8 (VP ISO binding, 2.2): profile 0, level undefined, 8 bits, 4:2:0,
// colours unspecified. VP8 has no other depth and no other subsampling.
const vp8Record = "\x00\x00\x82\x02\x02\x02\x00\x00"
