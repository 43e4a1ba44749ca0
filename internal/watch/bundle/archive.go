package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vigil-media/vigil/internal/disk"
)

const (
	bytesMax      = 20 << 20          // of the contents of a bundle
	archiveMax    = disk.FileBytesMax // of the bundle itself, so that a Shelf takes it
	manifestBytes = 64 << 10          // that are kept free for the manifest
	filesMax      = 100               // of a bundle
	manifestName  = "manifest.txt"
)

// File is a part of a bundle.
type File struct {
	Name string // without a folder
	Data []byte

	Most  int  // bytes, beyond which it is cut; 0: as many as fit
	Tail  bool // its end says more than its beginning: cut the beginning
	Whole bool // a piece of it is of no use: leave it out rather than cut it

	Took time.Duration // to make it, for the manifest
	Err  error         // why it could not be made; then it is only named in the manifest
}

// entry is a file as it goes into the archive.
type entry struct {
	File

	note string // for the manifest
	out  bool   // left out
}

// Compose makes a .tar.gz of files, in their order, and a manifest. The contents are 20 MiB at the most and the archive 16 MiB: what is
// larger is cut, the largest files first, and the manifest says so.
func Compose(files []File) ([]byte, error) {
	if len(files) > filesMax {
		return nil, fmt.Errorf("bundle of %d files: %d are allowed", len(files), filesMax)
	}
	entries := make([]entry, len(files))
	for i, f := range files {
		f.Name = path.Base(path.Clean("/" + f.Name))
		entries[i] = entry{File: f}
		entries[i].judge()
	}
	fit(entries, bytesMax-manifestBytes)
	for {
		data, err := write(entries)
		if err != nil || len(data) <= archiveMax {
			return data, err
		}
		if !dropLargest(entries) {
			return nil, disk.ErrTooLarge // only for a manifest of 16 MiB
		}
	}
}

// judge cuts what is larger than it may be by itself.
func (e *entry) judge() {
	switch {
	case e.Err != nil:
		e.drop(e.Err.Error())
	case e.Most > 0:
		e.cut(e.Most)
	}
}

func (e *entry) drop(why string) {
	e.out, e.note, e.Data = true, "left out: "+why, nil
}

// cut makes the file no longer than most.
func (e *entry) cut(most int) {
	n := len(e.Data)
	switch {
	case n <= most:
		return
	case e.Whole:
		e.drop(fmt.Sprintf("it has %d bytes, and %d are allowed; a piece of it is of no use", n, most))
		return
	case e.Tail:
		e.Data = e.Data[n-most:]
		e.note = fmt.Sprintf("cut: the last %d of %d bytes", most, n)
	default:
		e.Data = e.Data[:most]
		e.note = fmt.Sprintf("cut: the first %d of %d bytes", most, n)
	}
}

// fit cuts the largest files to one size, the largest with which all fit.
func fit(entries []entry, most int) {
	sizes := make([]int, len(entries))
	total := 0
	for i := range entries {
		sizes[i] = len(entries[i].Data)
		total += sizes[i]
	}
	if total <= most {
		return
	}
	slices.Sort(sizes)
	left := most
	for i, n := range sizes {
		share := left / (len(sizes) - i)
		if n <= share {
			left -= n
			continue
		}
		for j := range entries {
			entries[j].cut(share)
		}
		return
	}
}

// dropLargest leaves out one more.
func dropLargest(entries []entry) bool {
	at := -1
	for i := range entries {
		if len(entries[i].Data) > 0 && (at < 0 || len(entries[i].Data) > len(entries[at].Data)) {
			at = i
		}
	}
	if at >= 0 {
		entries[at].drop("the archive would be too large with it")
	}
	return at >= 0
}

func write(entries []entry) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	t, now := tar.NewWriter(z), time.Now()
	for i := range entries {
		if e := &entries[i]; !e.out {
			if err = add(t, e.Name, e.Data, now); err != nil {
				return nil, err
			}
		}
	}
	if err = add(t, manifestName, manifest(entries, now), now); err != nil {
		return nil, err
	}
	if err = t.Close(); err != nil {
		return nil, err
	}
	if err = z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func add(t *tar.Writer, name string, data []byte, at time.Time) error {
	h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("bundle: %s: %w", name, err)
	}
	if _, err := t.Write(data); err != nil {
		return fmt.Errorf("bundle: %s: %w", name, err)
	}
	return nil
}

// manifest says what is in and what is not.
func manifest(entries []entry, at time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Evidence of a Vigil process, put together at %s.\n\n", at.UTC().Format(time.RFC3339))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tBYTES\tTOOK\tNOTE") //nolint:errcheck // into memory
	for i := range entries {
		e := &entries[i]
		size, note := strconv.Itoa(len(e.Data)), e.note
		if e.out {
			size = "-"
		}
		if note == "" {
			note = "whole"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Name, size, e.Took.Round(time.Millisecond), oneLine(note, 300)) //nolint:errcheck // into memory
	}
	_ = w.Flush()
	return b.Bytes()
}

// oneLine makes text fit a line of so many bytes.
func oneLine(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
