package hub

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// ProbeApp is the application of the server's own end-to-end probe, and of nobody else. What is in it is not seen: not in snapshots,
// events, figures and counts, and it uses up no quota.
const ProbeApp = "__probe"

// ofProbe says whether the key is in the probe's application. Of the keys that have come into the tables, those are the probe's.
func (k Key) ofProbe() bool { return k.App == ProbeApp }

// LogValue is what stands for the key in log lines. Names of the probe hold its token.
func (k Key) LogValue() slog.Value {
	if k.ofProbe() {
		return slog.StringValue(ProbeApp + "/...")
	}
	return slog.StringValue(k.String())
}

// Probe says whether the key is one of the server's own probe: in [ProbeApp], with a name that begins with the probe's token and "-".
// The comparison takes the same time for all tokens of one length.
func (h *Hub) Probe(k Key) bool {
	if !k.ofProbe() || h.cfg().Probe == "" {
		return false
	}
	want := h.cfg().Probe + "-"
	return len(k.Name) > len(want) && subtle.ConstantTimeCompare([]byte(k.Name[:len(want)]), []byte(want)) == 1
}

// reserved refuses the probe's application to everybody else.
func (h *Hub) reserved(k Key) error {
	if k.ofProbe() && !h.Probe(k) {
		return denyProbe()
	}
	return nil
}

func denyProbe() error { return fmt.Errorf("%w: %s is the server's own", ErrDenied, ProbeApp) }

// publishProbe takes the key for the probe, who needs nobody's leave, or refuses it to anybody else.
func (h *Hub) publishProbe(ctx context.Context, q Request) (*Lease, error) {
	if err := h.reserved(q.Key); err != nil {
		return nil, err
	}
	l := h.newLease(ctx, q, Permit{OnConflict: Reject})
	if err := h.acquire(l); err != nil {
		l.session.end(err)
		l.unwatch()
		return nil, err
	}
	return l, nil
}

// admitsProbe says whether the probe is let in: whenever a publisher is, whatever the limits say. Under mu.
func (h *Hub) admitsProbe() error { return h.admitsNow(ActionPublish) }
