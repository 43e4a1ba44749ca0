package zlm

import (
	"strconv"
	"strings"
)

// folder is one. What is not absolute begins where the server is started, and not where its program lies.
type folder struct{}

func (folder) here(text string) (value, remark string, err error) {
	text = strings.TrimSpace(text)
	if !sound(text) {
		return "", "is no name of a folder, and sets nothing", errUnsaid
	}
	return text, "", nil
}

func (folder) there(value string) (string, bool) { return value, true }

// folders are several, with a sign between them. Those that cannot stand in a list are left out.
type folders struct{ between string }

func (f folders) here(text string) (value, remark string, err error) {
	items := []string{}
	for item := range strings.SplitSeq(text, f.between) {
		switch item = strings.TrimSpace(item); {
		case item == "":
		case !listable(item):
			remark = leftOut(item)
		default:
			items = append(items, strconv.Quote(item))
		}
	}
	return listed(items), remark, nil
}

func (f folders) there(value string) (string, bool) {
	items, ok := unlisted(value)
	return strings.Join(items, f.between), ok
}

// aliases are folders by the names that they have in URLs: name,folder;name,folder. Those that cannot be are left out.
type aliases struct{}

func (aliases) here(text string) (value, remark string, err error) {
	items := []string{}
	for item := range strings.SplitSeq(text, ";") {
		name, at, ok := strings.Cut(item, ",")
		name, at = strings.Trim(strings.TrimSpace(name), "/"), strings.TrimSpace(at)
		switch {
		case strings.TrimSpace(item) == "":
		case !ok || name == "" || at == "" || name[0] == '.' || strings.ContainsAny(name, "/\\=") || !listable(name) || !listable(at):
			remark = leftOut(item)
		default:
			items = append(items, strconv.Quote(name+"="+at))
		}
	}
	return listed(items), remark, nil
}

func (aliases) there(value string) (string, bool) {
	items, ok := unlisted(value)
	for i, item := range items {
		items[i] = strings.Replace(item, "=", ",", 1)
	}
	return strings.Join(items, ";"), ok
}

// listable says whether a text can be an item of a list.
func listable(item string) bool { return sound(item) && !strings.Contains(item, ",") }

func leftOut(item string) string {
	return `"` + printable(item) + `" is left out: it is no name of a folder, or has a comma in it`
}
