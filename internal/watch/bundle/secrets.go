package bundle

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	secretMin   = 4        // bytes: blotting out what is shorter would leave nothing to read
	unpackedMax = 32 << 20 // of a profile
)

// secretForms lists secrets as they may stand in a text: bare, quoted as in Go or JSON, in a URL. The longest come first, since one may
// contain another.
func secretForms(secrets []string) [][]byte {
	var all [][]byte
	for _, s := range secrets {
		if len(s) < secretMin {
			continue
		}
		all = append(all, []byte(s), []byte(url.QueryEscape(s)), []byte(url.PathEscape(s)))
		goQuoted := strconv.Quote(s)
		all = append(all, []byte(goQuoted[1:len(goQuoted)-1]))
		if quoted, err := json.Marshal(s); err == nil {
			all = append(all, quoted[1:len(quoted)-1])
		}
	}
	slices.SortFunc(all, func(a, b []byte) int { return cmp.Or(len(b)-len(a), bytes.Compare(a, b)) })
	return slices.CompactFunc(all, bytes.Equal)
}

// blot puts as many stars in the place of each secret: of one length, so that a trace or a profile stays readable.
func blot(files []File, secrets [][]byte) {
	for i := range files {
		if strings.HasSuffix(files[i].Name, ".gz") {
			files[i].Data = blotPacked(files[i].Data, secrets)
		} else {
			files[i].Data = blotted(files[i].Data, secrets)
		}
	}
}

func (b *Bundle) blot(secrets [][]byte) {
	b.Reason = string(blotted([]byte(b.Reason), secrets))
	for i := range b.Verdict {
		b.Verdict[i] = string(blotted([]byte(b.Verdict[i]), secrets))
	}
}

func blotted(data []byte, secrets [][]byte) []byte {
	for _, s := range secrets {
		if bytes.Contains(data, s) {
			data = bytes.ReplaceAll(data, s, bytes.Repeat([]byte("*"), len(s)))
		}
	}
	return data
}

// blotPacked does the same to what is gzipped. What cannot be read is left out.
func blotPacked(data []byte, secrets [][]byte) []byte {
	if len(secrets) == 0 || len(data) == 0 {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	plain, err := io.ReadAll(io.LimitReader(z, unpackedMax))
	if err != nil {
		return nil
	}
	clean := blotted(plain, secrets)
	if bytes.Equal(clean, plain) {
		return data
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(clean) // into memory
	_ = w.Close()
	return b.Bytes()
}
