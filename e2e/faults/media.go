package faults

import (
	"errors"
	"io"

	"github.com/vigil-media/vigil/internal/av"
	"github.com/vigil-media/vigil/internal/container/flv"
	"github.com/vigil-media/vigil/internal/container/fmp4"
	"github.com/vigil-media/vigil/internal/container/mpegts"
)

// readSize is how much is read at a time, in bytes.
const readSize = 16 << 10

// demux makes units of tags.
func demux(next func() (flv.Tag, error)) func() ([]*av.AccessUnit, error) {
	var d flv.Demuxer
	return func() ([]*av.AccessUnit, error) {
		tag, err := next()
		if err != nil {
			return nil, err
		}
		return d.Demux(tag)
	}
}

func readFLV(r io.Reader) func() ([]*av.AccessUnit, error) {
	return demux(flv.NewReader(r, flv.BodyMax).Read)
}

// readTS makes units of transport packets. That some are missing is what a viewer sees that jumps.
func readTS(r io.Reader) func() ([]*av.AccessUnit, error) {
	var d mpegts.Demuxer
	buffer := make([]byte, readSize)
	return func() (units []*av.AccessUnit, err error) {
		n, err := r.Read(buffer)
		if n == 0 {
			return nil, err
		}
		err = d.Push(buffer[:n], func(u *av.AccessUnit) error {
			units = append(units, u)
			return nil
		})
		if errors.Is(err, mpegts.ErrLost) {
			err = nil
		}
		return units, err
	}
}

func readMP4(r io.Reader) func() ([]*av.AccessUnit, error) {
	var d fmp4.Demuxer
	buffer := make([]byte, readSize)
	return func() ([]*av.AccessUnit, error) {
		n, err := r.Read(buffer)
		if n == 0 {
			return nil, err
		}
		return d.Demux(buffer[:n])
	}
}
