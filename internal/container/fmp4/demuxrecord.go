package fmp4

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vigil-media/vigil/internal/av"
)

// fixed says whether the init segment tells all of a track.
func (in *input) fixed() bool {
	switch in.codec { //nolint:exhaustive // the frames of the three tell
	case av.VP9, av.MP3, av.AC3:
		return false
	default:
		return true
	}
}

// readAVCC reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1.2).
func (in *input) readAVCC(b []byte) error {
	c := cursor{b: b}
	version := c.uint(1)
	c.take(3) // profile, compatibility, level
	in.nalSize = int(c.uint(1)&3) + 1
	err := in.readSets(&c, c.uint(1)&31)
	if err == nil {
		err = in.readSets(&c, c.uint(1))
	}
	return checkRecord(&c, version == 1, err)
}

// readHVCC reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1.2).
func (in *input) readHVCC(b []byte) (err error) {
	c := cursor{b: b}
	version := c.uint(1)
	c.take(20) // profile to frame rate
	in.nalSize = int(c.uint(1)&3) + 1
	for arrays := c.uint(1); arrays > 0 && !c.short && err == nil; arrays-- {
		c.take(1) // completeness and type, which the NAL units tell too
		err = in.readSets(&c, c.uint(2))
	}
	return checkRecord(&c, version <= 1, err)
}

// readSets reads n NAL units, each behind 16 bits of length. What is no parameter set is left out.
func (in *input) readSets(c *cursor, n uint64) error {
	for ; n > 0 && !c.short; n-- {
		if _, err := in.sets.Put(in.codec, c.take(int(c.uint(2)))); err != nil { //nolint:gosec // 16 bits
			return err
		}
	}
	return nil
}

func checkRecord(c *cursor, version bool, err error) error {
	switch {
	case c.short:
		return fmt.Errorf("record of %d bytes: %w", len(c.b), errShort)
	case !version:
		return fmt.Errorf("record of version %d", c.b[0])
	}
	return err
}

// readAV1C reads an AV1CodecConfigurationRecord (AV1 binding, 2.3.3). The sequence header may be missing; it comes with
// the pictures then. FFmpeg writes nothing at all until its encoder has said more.
func (in *input) readAV1C(b []byte) (err error) {
	const size = 4
	if len(b) == 0 {
		return nil
	}
	if len(b) < size || b[0] != 0x81 {
		return fmt.Errorf("av1C of %d bytes", len(b))
	}
	obus, err := splitOBUs(bytes.Clone(b[size:]))
	for _, o := range obus {
		if err == nil && obuType(o[0]) == obuSequenceHeader {
			in.cur, err = av.NewAV1(int(in.id), o)
			return err
		}
	}
	return err
}

// readMP4A finds the AudioSpecificConfig in the esds of an mp4a (ISO/IEC 14496-1, 7.2.6).
func (in *input) readMP4A(boxes []byte) error {
	b, err := child(boxes, "esds")
	if err != nil {
		return err
	}
	const tagES, tagDecoder, tagSpecific = 3, 4, 5
	const dependsOn, hasURL, hasOCR = 0x80, 0x40, 0x20
	c := cursor{b: b}
	c.take(4)
	c.descriptor(tagES)
	c.take(2)
	flags := c.uint(1)
	if flags&dependsOn != 0 {
		c.take(2)
	}
	if flags&hasURL != 0 {
		c.take(int(c.uint(1))) //nolint:gosec // a byte
	}
	if flags&hasOCR != 0 {
		c.take(2)
	}
	c.descriptor(tagDecoder)
	object := c.uint(1)
	c.take(12)
	switch {
	case c.short:
		return fmt.Errorf("esds of %d bytes: %w", len(b), errShort)
	case object == objectMPEG2MP3 || object == objectMPEG1MP3:
		in.codec = av.MP3 // the frames tell all
		return nil
	case object != objectAAC && (object < objectMPEG2AAC || object > objectMPEG2SSR):
		return fmt.Errorf("object type %#02x is not supported", object)
	}
	config := c.take(c.descriptor(tagSpecific))
	if c.short {
		return errors.New("no AudioSpecificConfig")
	}
	in.codec = av.AAC
	in.cur, err = av.NewAAC(int(in.id), bytes.Clone(config))
	return err
}

// descriptor reads tag and size of a descriptor (ISO/IEC 14496-1, 8.3.3). Another tag is an end.
func (c *cursor) descriptor(tag uint64) int {
	if c.uint(1) != tag {
		c.short = true
	}
	n := 0
	for range 4 {
		b := int(c.uint(1)) //nolint:gosec // a byte
		n = n<<7 | b&0x7f
		if b&0x80 == 0 {
			break
		}
	}
	return n
}
