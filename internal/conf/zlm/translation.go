package zlm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-media/vigil/internal/conf"
)

// translation is what texts of ZLMediaKit's mean here.
type translation struct {
	source    string
	now       map[string]string // our settings as they hold; nil: none do
	given     map[string]entry  // of the table, by key
	ours      map[string]string // what is to be set
	from      map[string]string // which key of ZLMediaKit's said so
	kept      map[string]string
	listeners listeners
	notes     []Note
	problems  conf.Problems
}

func newTranslation(source string, now map[string]string) *translation {
	return &translation{
		source: source, now: now, given: map[string]entry{},
		ours: map[string]string{}, from: map[string]string{}, kept: map[string]string{},
		listeners: listeners{ports: map[string]entry{}, wish: map[string]string{}},
	}
}

func (t *translation) note(e entry, k Kind, text string) {
	t.notes = append(t.notes, Note{Key: e.key, Line: e.line, Text: text, Kind: k})
}

// complain shows the value, unless it may be a secret.
func (t *translation) complain(e entry, err error) {
	text := err.Error()
	if k := byName[e.key]; k == nil || !hides(k.codec) {
		text = `"` + printable(e.text) + `" ` + text
	}
	t.problems = append(t.problems, conf.Problem{At: position(t.source, e.line), Key: e.key, Message: text})
}

// hides says whether values must not be shown.
func hides(c codec) bool {
	switch c.(type) {
	case secret, link:
		return true
	}
	return false
}

func (t *translation) set(e entry, key, value string) { t.ours[key], t.from[key] = value, e.key }

// add takes a key of the table.
func (t *translation) add(k *Key, e entry) {
	t.given[e.key] = e
	switch k.role {
	case host:
		at, err := parseHost(e.text)
		if err != nil {
			t.complain(e, err)
		} else if t.now == nil || hostOf(t.now) != cmp.Or(at, anyHost) {
			t.listeners.host = &at
		}
	case port:
		t.addPort(k, e)
	case away:
		if strings.TrimSpace(e.text) != "0" { // which is what is said here, whatever the port is to be one day
			t.keep(k, e)
		}
	case plain:
		if k.codec == nil {
			t.keep(k, e)
		} else {
			t.convert(k, e)
		}
	}
}

func (t *translation) addPort(k *Key, e entry) {
	n, err := parsePort(e.text)
	is, known := t.now[k.Ours[0]]
	_, was := splitAddress(is)
	switch {
	case errors.Is(err, errUnsaid):
		t.note(e, Doubtful, err.Error())
		delete(t.given, e.key)
	case err != nil:
		t.complain(e, err)
	case !known || n != was:
		t.listeners.ports[k.Ours[0]] = e
	}
}

// keep takes a key that has no effect.
func (t *translation) keep(k *Key, e entry) {
	t.kept[e.key] = e.text
	if !k.isUsual(e.text) {
		t.note(e, NoEffect, k.Why)
	}
}

// convert takes a key that has one. Settings that say the same already are left alone: they may say more than ZLMediaKit has words for.
func (t *translation) convert(k *Key, e entry) {
	if t.knows(k) && k.say(t.now, nil) == e.text {
		return
	}
	value, remark, err := k.codec.here(e.text)
	switch {
	case errors.Is(err, errUnsaid):
		if remark == "" && e.text == "" {
			remark = err.Error()
		}
		if remark != "" {
			t.note(e, Differs, remark)
		}
		return
	case err != nil:
		t.complain(e, err)
		return
	case remark != "":
		t.note(e, Differs, remark)
	}
	for _, key := range k.Ours {
		if !t.holds(k, key, value) {
			t.set(e, key, value)
		}
	}
}

// knows says whether it is known what holds for a key.
func (t *translation) knows(k *Key) bool {
	return slices.ContainsFunc(k.Ours, func(key string) bool {
		_, known := t.now[key]
		return known
	})
}

// holds says whether our setting says already what value says, in ZLMediaKit's words.
func (t *translation) holds(k *Key, key, value string) bool {
	was, known := t.now[key]
	if !known {
		return false
	}
	said, ok := k.codec.there(was)
	wanted, _ := k.codec.there(value)
	return ok && said == wanted
}

// patience sets how long a publisher may be silent: two keys of ZLMediaKit's say so, of RTMP and of RTSP, and the longer holds for all.
func (t *translation) patience() {
	const ours = "publish.max_silence"
	long, ok := t.given["rtmp.keepAliveSecond"]
	short, ok2 := t.given["rtsp.keepAliveSecond"]
	a, errA := number(long.text)
	b, errB := number(short.text)
	if !ok || !ok2 || errA != nil || errB != nil || a == b {
		return
	}
	if a < b {
		long, short = short, long
	}
	delete(t.ours, ours)
	if value, _, err := silence().here(long.text); err == nil && !t.holds(byName[long.key], ours, value) {
		t.set(long, ours, value)
	}
	t.note(short, Differs, fmt.Sprintf("publish.max_silence is one for all publishers: the longer %s holds", long.key))
}
