package zlm

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-media/vigil/internal/conf"
)

// codec turns a text of ZLMediaKit's into one of our settings, and back.
type codec interface {
	// here gives our setting, as it is written after --set. The remark, if any, says how it differs from what was asked for. errUnsaid
	// means that the text sets nothing.
	here(text string) (value, remark string, err error)
	// there gives ZLMediaKit's text for our setting; false: it has no words for it.
	there(value string) (text string, ok bool)
}

// errUnsaid means that nothing is to be set.
var errUnsaid = errors.New("is empty, and sets nothing")

// number reads a whole number or a decimal one, as far as a comment.
func number(text string) (float64, error) {
	text = uncommented(text)
	if text == "" {
		return 0, errUnsaid
	}
	n, err := strconv.ParseFloat(text, 64)
	if math.IsNaN(n) || math.IsInf(n, 0) || err != nil || strings.ContainsAny(text, "xXpP_") {
		return 0, errors.New("is not a number")
	}
	return n, nil
}

// uncommented is text without what follows a blank and a comment sign. ZLMediaKit has no such comments, but reads a number as far as it goes.
func uncommented(text string) string {
	for i := 1; i < len(text); i++ {
		if (text[i] == ';' || text[i] == '#') && (text[i-1] == ' ' || text[i-1] == '\t') {
			text = text[:i]
			break
		}
	}
	return strings.TrimSpace(text)
}

// truth reads what ZLMediaKit takes for a yes or a no.
func truth(text string) (bool, error) {
	switch strings.ToLower(uncommented(text)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	n, err := number(text)
	if err != nil && !errors.Is(err, errUnsaid) {
		return false, errors.New("is none of 0, 1, true, false")
	}
	return n != 0, err
}

// flag is 1 or 0, and these texts here. Whatever is not off is on.
type flag struct{ on, off string }

func (f flag) here(text string) (value, remark string, err error) {
	yes, err := truth(text)
	if yes {
		return f.on, "", err
	}
	return f.off, "", err
}

func (f flag) there(value string) (string, bool) {
	if value == f.off {
		return "0", true
	}
	return "1", true
}

// choice is the number of one of these texts.
type choice []string

func (c choice) here(text string) (value, remark string, err error) {
	n, err := number(text)
	if err != nil {
		return "", "", err
	}
	if i := int(n); n >= 0 && n < float64(len(c)) && float64(i) == n {
		return c[i], "", nil
	}
	return "", "", fmt.Errorf("is not between 0 and %d", len(c)-1)
}

func (c choice) there(value string) (string, bool) {
	for i, v := range c {
		if v == value {
			return strconv.Itoa(i), true
		}
	}
	return "", false
}

// span is a time. ZLMediaKit reads a whole number of units, unless it is decimal.
type span struct {
	unit, least, most time.Duration
	decimal           bool
}

func (s span) here(text string) (value, remark string, err error) {
	n, err := number(text)
	if err != nil {
		return "", "", err
	}
	wanted := n * float64(s.unit)
	d := s.most
	if wanted < float64(s.most) {
		d = max(s.least, time.Duration(math.Round(wanted)))
	}
	if wanted < float64(s.least) || wanted > float64(s.most) {
		remark = fmt.Sprintf("%v is not between %v and %v: %v holds", uncommented(text), briefly(s.least), briefly(s.most), briefly(d))
	}
	return briefly(d), remark, nil
}

func (s span) there(value string) (string, bool) {
	d, err := time.ParseDuration(value)
	if err != nil {
		return "", false
	}
	if !s.decimal { // less than a unit must not read as 0, which is off
		return strconv.FormatInt(int64((d+s.unit-1)/s.unit), 10), true
	}
	text := strconv.FormatFloat(float64(d)/float64(s.unit), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text, true
}

// briefly writes d without the zero units at the end: 1m, not 1m0s.
func briefly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// count is a whole number.
type count struct {
	least, most int
	zero        string // why 0 is not one; "": it is
}

func (c count) here(text string) (value, remark string, err error) {
	n, err := number(text)
	if err != nil {
		return "", "", err
	}
	if n == 0 && c.zero != "" {
		return "", c.zero, errUnsaid
	}
	i := int(math.Trunc(min(max(n, float64(c.least)), float64(c.most))))
	if float64(i) != n {
		remark = fmt.Sprintf("%v is not a whole number between %d and %d: %d holds", uncommented(text), c.least, c.most, i)
	}
	return strconv.Itoa(i), remark, nil
}

func (c count) there(value string) (string, bool) {
	n, err := strconv.Atoi(value)
	return strconv.Itoa(n), err == nil
}

// kibibytes is a size that ZLMediaKit counts by 1024 bytes.
type kibibytes struct{}

func (kibibytes) here(text string) (value, remark string, err error) {
	n, err := number(text)
	if err != nil {
		return "", "", err
	}
	const most = 1 << 40
	k := math.Round(min(max(n, 0), most))
	if k != n {
		remark = fmt.Sprintf("%v is not a whole number between 0 and %d: %v holds", uncommented(text), int64(most), k)
	}
	return conf.Size(int64(k) << 10).String(), remark, nil
}

func (kibibytes) there(value string) (string, bool) {
	n, err := conf.ParseSize(value)
	return strconv.FormatInt(int64(n)>>10, 10), err == nil
}
