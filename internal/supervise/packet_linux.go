package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errTooLong means that a message does not fit into a packet.
var errTooLong = errors.New("the message is too long")

// line carries messages between supervisor and worker, and descriptors with them. One goroutine reads; any may write.
type line struct{ conn *net.UnixConn }

// sendTime is how long a message may take to be taken. The other side may be wedged.
const sendTime = 50 * time.Millisecond

// newLine makes a line of a descriptor, which it takes over.
func newLine(f *os.File) (*line, error) {
	defer closeFile(f)
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("line: descriptor %d is not a socket of the supervisor", f.Fd())
	}
	return &line{u}, nil
}

// linePair makes both ends of a line.
func linePair() (ours *line, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "line")
	if ours, err = newLine(os.NewFile(uintptr(fds[0]), "line")); err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// send sends a message, with a descriptor unless fd is negative, which stays the caller's.
func (l *line) send(m *message, fd int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) > messageMost {
		return errTooLong
	}
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	if err = l.conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	_, _, err = l.conn.WriteMsgUnix(b, rights, nil)
	return err
}

// receive waits for a message, and the descriptor that came with it or nil, which is the caller's to close.
func (l *line) receive(buf []byte) (*message, *os.File, error) {
	var oob [64]byte
	n, oobn, _, _, err := l.conn.ReadMsgUnix(buf, oob[:])
	if errors.Is(err, unix.ECONNRESET) { // the other side has ended and not read all: what it had said is still there
		n, oobn, _, _, err = l.conn.ReadMsgUnix(buf, oob[:])
	}
	if err != nil {
		return nil, nil, err
	}
	f := descriptor(oob[:oobn])
	if n == 0 {
		closeFile(f)
		return nil, nil, net.ErrClosed
	}
	m := new(message)
	if err := json.Unmarshal(buf[:n], m); err != nil {
		closeFile(f)
		return nil, nil, fmt.Errorf("line: %w", err)
	}
	return m, f, nil
}

// descriptor takes the first descriptor out of a control message, and closes others.
func descriptor(oob []byte) (f *os.File) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			if f == nil {
				f = os.NewFile(uintptr(fd), "received")
			} else {
				_ = unix.Close(fd)
			}
		}
	}
	return f
}

func closeFile(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}

// memory makes a file that is only in memory.
func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// boundedMemory is memory that does not grow beyond most bytes: writing more fails.
func boundedMemory(name string, most int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err = f.Truncate(int64(most)); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("memfd: %w", err)
	}
	return f, nil
}

// written reads what was written to bounded memory, by whoever shares it, most bytes at the most.
func written(f *os.File, most int) []byte {
	n, err := f.Seek(0, io.SeekCurrent) // they write at the same position
	if err != nil {
		return nil
	}
	b := make([]byte, min(n, int64(most)))
	got, _ := f.ReadAt(b, 0) // what there is
	return b[:got]
}

// contents reads a file in memory from its beginning, most bytes at the most.
func contents(f *os.File, most int) []byte {
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	b := make([]byte, min(st.Size(), int64(most)))
	n, _ := f.ReadAt(b, 0) // what there is
	return b[:n]
}
