package hook

import (
	"testing"

	"github.com/vigil-media/vigil/internal/hub"
)

// Without a dialer of its own it uses the network.
func TestDial(t *testing.T) {
	v := newVillain(t, listen(t), nil)
	v.reform()
	c := at("http://"+v.ln.Addr().String()+"/", Play)
	h := New(Options{Config: c, Log: (&text{}).logger()})
	stop := run(t, h)
	defer stop()
	for range 3 {
		if _, err := h.Authorize(t.Context(), hub.ActionPlay, hub.Request{Key: key("a"), Protocol: "rtmp"}); err != nil {
			t.Error(err)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.heard != 3 || len(v.conns) != 1 {
		t.Errorf("%d questions on %d connections", v.heard, len(v.conns))
	}
}
