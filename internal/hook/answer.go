package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/vigil-media/vigil/internal/hub"
	"github.com/vigil-media/vigil/internal/stream"
	"github.com/vigil-media/vigil/internal/zlm"
)

// errAnswer means that what came back is no answer.
var errAnswer = errors.New("no answer of a hook: want a JSON object with a whole number code")

// answer is what a target says.
type answer struct {
	code   int
	msg    string
	fields map[string]json.RawMessage
}

// parseAnswer reads an answer. Like the peers it wants a whole number of 32 bits as the code, which may be written 0.0; a text that holds one
// will do.
func parseAnswer(text []byte) (answer, error) {
	a := answer{}
	if err := json.Unmarshal(text, &a.fields); err != nil || a.fields == nil {
		return answer{}, errAnswer
	}
	code, ok := whole(a.fields["code"])
	if !ok {
		return answer{}, errAnswer
	}
	a.code = code
	if msg, ok := scalar(a.fields["msg"]); ok {
		a.msg = plain(msg)
	}
	return a, nil
}

// whole is a whole number of 32 bits, or the one that a text holds.
func whole(raw json.RawMessage) (int, bool) {
	text, ok := scalar(raw)
	if !ok {
		return 0, false
	}
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return int(n), true
	}
	var f float64 // of the grammar of JSON, which knows no infinity and no hexadecimal numbers
	if json.Unmarshal([]byte(text), &f) != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, false
	}
	return int(f), true
}

// scalar returns the text of a value that is a text, a number, or true or false. ok is false for null, lists, objects, and what is not there.
func scalar(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '"':
		err := json.Unmarshal(raw, &text)
		return text, err == nil
	case '{', '[', 'n':
		return "", false
	}
	return string(raw), true
}

// plain is a text of a peer's as it may be shown: one line, not too long.
func plain(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// text is a field that is a text or a number; ok is false where it is absent or null.
func (a *answer) text(name string) (string, bool) { return scalar(a.fields[name]) }

// truth is a field that is yes or no: true, or any number but 0, as a text or not.
func (a *answer) truth(name string) (is, ok bool) {
	text, ok := a.text(name)
	if !ok || text == "" {
		return false, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return strings.EqualFold(text, "true") || err == nil && n != 0 && !math.IsNaN(n), true
}

// number is a field that is a number, or a text that holds one.
func (a *answer) number(name string) (n float64, ok bool) {
	text, ok := a.text(name)
	if !ok {
		return 0, false
	}
	switch strings.ToLower(text) {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && !math.IsNaN(n)
}

// refusal is the error of a target that says no.
func (a *answer) refusal() error {
	if a.msg == "" {
		return fmt.Errorf("%w: code %d", hub.ErrDenied, a.code)
	}
	return fmt.Errorf("%w: %s (code %d)", hub.ErrDenied, a.msg, a.code)
}

// outputs is the schemas that the options of on_publish can turn on and off.
//
//nolint:gochecknoglobals // a constant table
var outputs = map[string]zlm.Schema{
	"enable_rtsp": zlm.RTSP, "enable_rtmp": zlm.RTMP, "enable_ts": zlm.TS, "enable_fmp4": zlm.FMP4, "enable_hls": zlm.HLS,
	"enable_hls_fmp4": zlm.HLSFMP4,
}

// identityMost bounds the text by which a publisher is known to be the same, bytes.
const identityMost = 256

// resumeMost is the longest resume window that a target can ask for.
const resumeMost = 10 * time.Minute

// permit reads what an answer of on_publish says about the stream. Options that are absent, null, or of a feature that this server does not
// have change nothing.
func (a *answer) permit(key hub.Key) (hub.Permit, error) {
	var p hub.Permit
	if name, ok := a.text("stream_replace"); ok && name != "" {
		k, err := hub.ParseKey(key.App + "/" + name)
		if err != nil {
			return p, fmt.Errorf("stream_replace: %w", err)
		}
		k.VHost = key.VHost
		p.Key = k
	}
	if ms, ok := a.number("continue_push_ms"); ok {
		window := time.Duration(min(max(ms, 0), float64(resumeMost.Milliseconds()))) * time.Millisecond
		p.Terms.Resume = &window
	}
	if closes, ok := a.truth("auto_close"); ok {
		p.Terms.CloseIdle = &closes
	}
	if sound, ok := a.truth("enable_audio"); ok {
		p.Terms.Audio = &sound
	}
	if mode, ok := a.number("modify_stamp"); ok {
		p.Terms.Stamps = stamps(mode)
	}
	said := map[zlm.Schema]bool{}
	for name, schema := range outputs {
		if on, ok := a.truth(name); ok {
			said[schema] = on
		}
	}
	p.Terms.Serves = zlm.Serves(said)
	if policy, ok := a.text("on_conflict"); ok { // ours
		p.OnConflict = hub.Policy(plain(policy))
	}
	if who, ok := a.text("identity"); ok { // ours
		if len(who) > identityMost {
			return p, fmt.Errorf("identity: %d bytes, at most %d", len(who), identityMost)
		}
		p.Identity = who
	}
	return p, nil
}

// stamps is the mode that ZLMediaKit numbers so; "": there is none.
func stamps(mode float64) stream.StampMode {
	switch mode {
	case 0:
		return stream.Absolute
	case 1:
		return stream.Receive
	case 2: //nolint:mnd // their number
		return stream.Relative
	}
	return ""
}
