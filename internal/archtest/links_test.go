package archtest

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	mdLink    = regexp.MustCompile(`\]\(\s*<?([^)>\s]+)>?(?:\s+"[^"]*")?\s*\)`)
	mdDefined = regexp.MustCompile(`^\[[^\]]+\]:\s+<?([^>\s]+)>?`)
	mdCode    = regexp.MustCompile("`[^`]*`")
	mdHeading = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	mdAnchor  = regexp.MustCompile(`<a\s+(?:id|name)="([^"]+)"`)
)

// TestLinks follows the relative links of all documents, to files and to headings.
func TestLinks(t *testing.T) {
	root := moduleRoot(t)
	docs := map[string]string{}
	eachFile(t, ".md", func(name string, data []byte) { docs[name] = string(data) })
	for name, text := range docs {
		for _, link := range linksOf(text) {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: link %q: %v", name, link, err)
				continue
			}
			if u.IsAbs() || u.Host != "" {
				continue
			}
			target := name
			if u.Path != "" {
				target = path.Join(path.Dir(name), u.Path)
			}
			if strings.HasPrefix(u.Path, "/") || strings.HasPrefix(target, "../") {
				t.Errorf("%s: link %q leaves the repository: make it relative to the document", name, link)
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: link %q leads to nothing: repair it or write %s", name, link, target)
				continue
			}
			if text, isDoc := docs[target]; isDoc && u.Fragment != "" && !anchorsOf(text)[u.Fragment] {
				t.Errorf("%s: link %q: %s has no heading #%s", name, link, target, u.Fragment)
			}
		}
	}
}

// TestLinkParser proves that the links, and only those, are found.
func TestLinkParser(t *testing.T) {
	const doc = "# A heading, with `code`\n[one](a.md) ![two](b.png \"title\") `[no](x.md)`\n```\n[no](y.md)\n```\n" +
		"[three](<c.md#part>)\n[ref]: d.md\n## A heading, with code\n"
	if got, want := strings.Join(linksOf(doc), " "), "a.md b.png c.md#part d.md"; got != want {
		t.Errorf("links %q, want %q", got, want)
	}
	anchors := anchorsOf(doc)
	for _, want := range []string{"a-heading-with-code", "a-heading-with-code-1"} {
		if !anchors[want] {
			t.Errorf("anchors %v, want %s among them", anchors, want)
		}
	}
}

// proseOf gives a document's lines outside its code blocks.
func proseOf(text string) []string {
	var lines []string
	fence := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case fence != "":
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			}
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			fence = trimmed[:3]
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

func linksOf(text string) []string {
	var links []string
	for _, line := range proseOf(text) {
		line = mdCode.ReplaceAllString(line, "")
		for _, m := range mdLink.FindAllStringSubmatch(line, -1) {
			links = append(links, m[1])
		}
		if m := mdDefined.FindStringSubmatch(line); m != nil {
			links = append(links, m[1])
		}
	}
	return links
}

// anchorsOf gives the names that a forge makes of the headings: small letters, blanks as hyphens, no marks.
func anchorsOf(text string) map[string]bool {
	anchors := map[string]bool{}
	for _, line := range proseOf(text) {
		for _, m := range mdAnchor.FindAllStringSubmatch(line, -1) {
			anchors[m[1]] = true
		}
		m := mdHeading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var b strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case r == ' ' || r == '-':
				b.WriteByte('-')
			case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				b.WriteRune(r)
			}
		}
		anchor := b.String()
		for n := 1; anchors[anchor]; n++ {
			anchor = b.String() + "-" + strconv.Itoa(n)
		}
		anchors[anchor] = true
	}
	return anchors
}
