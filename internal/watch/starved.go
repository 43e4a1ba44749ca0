package watch

import "bytes"

// starvedAt is how many percent of the last 10 s something waited for a processor, for the process to be taken to be starved.
const starvedAt = 40

// starved reads what the kernel says of the pressure on processors: "some avg10=12.34 avg60=...".
func starved(text []byte) bool {
	_, rest, ok := bytes.Cut(text, []byte("some avg10="))
	if !ok {
		return false
	}
	whole, tenths := 0, false
	for i, c := range rest {
		switch {
		case c >= '0' && c <= '9' && i < 3:
			whole = whole*10 + int(c-'0')
		case c == '.' && i > 0:
			rest = rest[i+1:]
			for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
				tenths = tenths || rest[0] != '0'
				rest = rest[1:]
			}
			return whole > starvedAt || whole == starvedAt && tenths
		default:
			return false
		}
	}
	return false
}
