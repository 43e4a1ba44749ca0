package protocol

import "testing"

// Those that wait hold a bounded amount of what they have said.
func TestOverhearingIsBounded(t *testing.T) {
	var u Setups
	n := 0
	for u.lend() {
		n++
	}
	if n != overhearAll/overhearEach {
		t.Errorf("%d times %d bytes are lent", n, overhearEach)
	}
	u.lent.Add(-overhearEach)
	if !u.lend() || u.lend() {
		t.Error("what was given back is not lent again, or more than that")
	}
}
