package zlm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// doubts names what is said in one place and does not go with what is said in another, as far as only the file shows it, or ZLMediaKit would do
// otherwise. What our own settings show is the server's to say, wherever they come from.
func (t *translation) doubts() {
	t.doubtHooks()
	t.doubtTimes()
	t.doubtPorts()
	if e, ok := t.given["general.mediaServerId"]; ok && e.text == sampleID {
		t.note(e, Doubtful, "is what every sample file says: platforms tell servers apart by it")
	}
}

func (t *translation) doubtHooks() {
	e, ok := t.given["hook.enable"]
	on, err := truth(e.text)
	if !ok || err != nil || !on || t.now != nil { // hooks come and go by the API as the platform wants
		return
	}
	for key, e := range t.given {
		if strings.HasPrefix(key, "hook.on_") && e.text != "" {
			return
		}
	}
	t.note(e, Doubtful, "hooks are on, but there is no URL")
}

func (t *translation) doubtTimes() {
	if e, ok := t.given["protocol.continue_push_ms"]; ok && t.amount("protocol.continue_push_ms", "")/1000 > t.amount("http.keepAliveSecond", "30") {
		t.note(e, Doubtful, "is longer than http.keepAliveSecond, after which ZLMediaKit ends HTTP players: here they wait for the publisher as long as this says")
	}
	least := min(t.amount("rtmp.handshakeSecond", "15"), t.amount("rtsp.handshakeSecond", "15"))
	if e, ok := t.given["hook.timeoutSec"]; ok && t.amount("hook.timeoutSec", "") > least {
		t.note(e, Doubtful, "is longer than a handshakeSecond, after which ZLMediaKit ends who waits for the answer: here they wait as long as this says, if they have the patience")
	}
	if e, ok := t.given["general.maxStreamWaitMS"]; ok && t.amount("general.maxStreamWaitMS", "")/1000 > least {
		t.note(e, Doubtful, "is longer than a handshakeSecond, after which ZLMediaKit ends players that wait: here they wait as long as this says")
	}
}

// amount is a number that was given, or the usual one.
func (t *translation) amount(key, usual string) float64 {
	text := usual
	if e, ok := t.given[key]; ok {
		text = e.text
	}
	n, _ := number(text)
	return n
}

// doubtPorts finds listeners on the same port.
func (t *translation) doubtPorts() {
	taken := map[int]string{}
	for _, key := range slices.Sorted(maps.Keys(t.listeners.ports)) {
		e := t.listeners.ports[key]
		n, _ := parsePort(e.text)
		if other, twice := taken[n]; twice && n > 0 {
			t.note(e, Doubtful, fmt.Sprintf("%s has port %d too: only one of them can listen", other, n))
		}
		taken[n] = e.key
	}
}
