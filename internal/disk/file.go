package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
)

// pieceBytes is how much of a file is read at a time.
const pieceBytes = 64 << 10

// File is a file or a folder that was opened to be read. It implements io.ReadSeekCloser for files; reads wait for the disk for 10 s at the most,
// and no longer than the context it was opened with. One goroutine uses it at a time, but for Close, which may come from another: what is read then is an
// error. It holds 64 KiB.
type File struct {
	Info fs.FileInfo

	tree *Tree
	ctx  context.Context         //nolint:containedctx // io.Reader has none
	file atomic.Pointer[os.File] // nil for a folder, and when it is closed
	at   int64                   // of the next byte
	read []byte                  // what was read in advance, from at on
}

// errClosed says that a file was closed before it was read. It is no fault of the disk.
var errClosed = fmt.Errorf("the file was closed: %w", fs.ErrInvalid)

// Read implements io.Reader.
func (f *File) Read(b []byte) (int, error) {
	switch {
	case f.Info.IsDir():
		return 0, fmt.Errorf("read %s: %w", f.Info.Name(), syscall.EISDIR)
	case f.at >= f.Info.Size():
		return 0, io.EOF
	case len(b) == 0:
		return 0, nil
	}
	if len(f.read) == 0 {
		if err := f.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, f.read)
	f.read = f.read[n:]
	f.at += int64(n)
	return n, nil
}

// fill reads a piece. Its memory is new: a worker who was given up on may still be writing to the one before.
func (f *File) fill() error {
	at, size := f.at, min(pieceBytes, f.Info.Size()-f.at)
	file := f.file.Load()
	if file == nil {
		return errClosed
	}
	var got atomic.Pointer[[]byte]
	err := f.tree.do(f.ctx, "read", func() error {
		b := make([]byte, size)
		n, err := file.ReadAt(b, at)
		b = b[:n]
		got.Store(&b)
		switch {
		case n > 0 || errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, fs.ErrClosed): // the caller has given it up, and another worker was faster
			return errClosed
		}
		return err
	})
	if err != nil {
		return err
	}
	if f.read = *got.Load(); len(f.read) == 0 { // it has become shorter
		return io.ErrUnexpectedEOF
	}
	return nil
}

// Seek implements io.Seeker. The end is where it was when the file was opened.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.Info.Size()
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek: %w", fs.ErrInvalid)
	}
	if offset != f.at {
		f.at, f.read = offset, nil
	}
	return offset, nil
}

// Close implements io.Closer. It does not wait for the disk.
func (f *File) Close() error {
	f.tree.close(f.file.Swap(nil))
	return nil
}
