package zlm

import (
	"bytes"
	"encoding/json"
	"strconv"

	words "github.com/vigil-media/vigil/internal/zlm"
)

// appendText writes a text as encoding/json does: what is plain by copying it.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendOdd(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendOdd writes a text that is not plain.
func appendOdd(b []byte, s string) []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return append(b, `""`...) // there is no such text
	}
	return append(b, bytes.TrimRight(text.Bytes(), "\n")...)
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

func appendDecimal(b []byte, d words.Decimal) []byte {
	text, err := d.MarshalJSON()
	if err != nil {
		return append(b, '0')
	}
	return append(b, text...)
}
