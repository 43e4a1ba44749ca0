package m3u8

import (
	"fmt"
	"slices"
	"strings"
)

// Rule is one thing that the specification asks of a playlist, of what follows it, or of the media.
type Rule struct {
	Name    string
	Section string // of draft-pantos-hls-rfc8216bis-22, unless it says otherwise
	Must    bool   // MUST, MUST NOT, REQUIRED; else SHOULD, or what RFC 8216 is silent about and players trip over
}

// Problem is one place where a rule was broken.
type Problem struct {
	Rule
	Line int    // of the playlist; 0: it is about the whole, or about something else
	Text string // what is wrong, with the figures
}

// String tells it in one line.
func (p Problem) String() string {
	force := "SHOULD"
	if p.Must {
		force = "MUST"
	}
	where := ""
	if p.Line > 0 {
		where = fmt.Sprintf("line %d: ", p.Line)
	}
	return fmt.Sprintf("%s%s [%s, %s, section %s]", where, p.Text, p.Name, force, p.Section)
}

// Musts leaves out what is only recommended, and the rules named.
func Musts(all []Problem, except ...string) []Problem {
	return slices.DeleteFunc(slices.Clone(all), func(p Problem) bool { return !p.Must || slices.Contains(except, p.Name) })
}

// Except leaves out the rules named.
func Except(all []Problem, names ...string) []Problem {
	return slices.DeleteFunc(slices.Clone(all), func(p Problem) bool { return slices.Contains(names, p.Name) })
}

// Rules returns all rules, sorted by name.
func Rules() []Rule {
	all := slices.Clone(ruleTable)
	slices.SortFunc(all, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	return all
}

//nolint:gochecknoglobals // a constant table
var ruleTable = []Rule{
	// The grammar, as Parse has it.
	{"syntax", "4", true},

	// One playlist.
	{"once", "4.4", true},
	{"version-low", "8", true},
	{"version-high", "6.2.1", false},
	{"start-offset", "4.4.2.2", false},

	// One Media Playlist.
	{"target-missing", "4.4.3.1", true},
	{"target-exceeded", "4.4.3.1", true},
	{"map-missing", "3.1.2", true},
	{"map-repeated", "4.4.4.5", false},
	{"map-without-break", "6.2.1", false},
	{"key-attributes", "4.4.4.4", true},
	{"range-start", "4.4.4.2", true},
	{"date-ambiguous", "6.2.1", true},
	{"date-drift", "6.2.1", false},
	{"date-after-break", "6.2.1", false},
	{"date-range", "4.4.5.1", true},
	{"skip-ended", "6.2.5.1", true},
	{"skip-unoffered", "6.2.5.1", true},
	{"skip-boundary", "4.4.3.8", true},
	{"skip-dates", "4.4.3.8", true},
	{"hold-back", "4.4.3.8", true},
	{"empty", "6.2.1", false},

	// Parts.
	{"part-inf-missing", "4.4.3.7", true},
	{"part-target-missing", "4.4.3.7", true},
	{"part-hold-back-missing", "4.4.3.8", true},
	{"part-hold-back", "4.4.3.8", true},
	{"part-hold-back-short", "4.4.3.8", false},
	{"part-long", "4.4.4.9", true},
	{"part-short", "4.4.4.9", true},
	{"part-sum", "3.2", true},
	{"part-order", "4.4.4.9", true},
	{"part-late", "6.2.2", false},
	{"part-iframes", "4.4.4.9", false},
	{"part-dates-missing", "B.1", true},
	{"part-reload", "B.1", true},
	{"hint-attributes", "4.4.5.3", true},
	{"hint-ended", "4.4.5.3", true},
	{"hint-twice", "6.2.6", false},
	{"hint-published", "4.4.5.3", true},
	{"report-attributes", "4.4.5.4", true},

	// One Multivariant Playlist.
	{"variant-none", "4.4.6.2", false},
	{"bandwidth", "4.4.6.2", true},
	{"codecs", "4.4.6.2", true},
	{"codecs-missing", "4.4.6.2", false},
	{"resolution", "4.4.6.2", false},
	{"group", "4.4.6.2", true},
	{"rendition", "4.4.6.1", true},

	// Between versions of a playlist.
	{"msn-back", "6.2.2", true},
	{"msn-shifted", "6.2.2", true},
	{"msn-missing", "6.2.2", true},
	{"break-sequence", "6.2.2", true},
	{"break-sequence-back", "6.2.2", true},
	{"break-sequence-missing", "6.2.2", true},
	{"segment-changed", "6.2.1", true},
	{"part-changed", "6.2.1", true},
	{"part-removed", "6.2.1", true},
	{"end-removed", "6.2.1", true},
	{"target-changed", "6.2.1", true},
	{"part-target-changed", "6.2.1", true},
	{"control-changed", "6.2.1", true},
	{"ended-changed", "4.4.3.4", true},
	{"type-changed", "6.2.1", true},
	{"window", "6.2.2", true},
	{"hint-broken", "4.4.5.3", true},
	{"segment-overdue", "6.2.1", true},
	{"part-overdue", "6.2.1", true},

	// What was asked and what came.
	{"skip-unasked", "6.2.5.1", true},
	{"skip-ignored", "6.2.5.1", true},
	{"skip-unresolved", "6.2.5.1", true},
	{"skip-too-much", "6.2.5.1", true},
	{"skip-too-little", "6.2.5.1", true},
	{"reload-early", "6.2.5.2", true},
	{"content-type", "4", true},
	{"content-type-other", "4", false},
	{"charset", "4.1", true},
	{"cache", "B.1", false},
	{"gzip", "6.2.1", false},
	{"gzip-unasked", "RFC 9110, 12.5.3", true},

	// What a player finds.
	{"unavailable", "6.2.1", true},
	{"hint-unavailable", "6.2.6", true},
	{"missed", "6.2.2", false},

	// The media.
	{"media-syntax", "3.1", true},
	{"media-tables", "3.1.1", true},
	{"media-duration", "4.4.4.1", true},
	{"media-key", "4.4.4.9", true},
	{"media-key-missing", "6.2.1", false},
	{"media-key-unmarked", "4.4.4.9", false},
	{"media-time", "6.2.1", true},
	{"media-sequence", "ISO/IEC 14496-12, 8.8.5", true},
	{"media-init", "3.1.2", true},
	{"media-parent", "3.2", true},
}

// ruleOf finds a rule. Names are written in this package only, so one that is missing is a mistake here.
func ruleOf(name string) Rule {
	for _, r := range ruleTable {
		if r.Name == name {
			return r
		}
	}
	panic("m3u8: no rule " + name)
}

// findings collects problems.
type findings []Problem

func (f *findings) add(rule string, line int, format string, args ...any) {
	*f = append(*f, Problem{Rule: ruleOf(rule), Line: line, Text: fmt.Sprintf(format, args...)})
}
