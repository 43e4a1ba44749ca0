package watch

import "testing"

func TestStarvedText(t *testing.T) {
	for text, want := range map[string]bool{
		"some avg10=6.60 avg60=90.86 avg300=95.69 total=6409323597\nfull avg10=99.00": false,
		"some avg10=40.00 avg60=0.00": false, "some avg10=40.01 avg60=0.00": true, "some avg10=40.10": true, "some avg10=41.00 ": true,
		"some avg10=100.00 avg60=1": true, "some avg10=0.00": false, "some avg10=39.99": false, "some avg10=": false,
		"some avg10=99": false, "some avg10=.9": false, "some avg10=9999.00": false, "some avg10=-41.00": false, "": false,
		"some": false, "full avg10=99.00": false,
	} {
		if got := starved([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzStarved(f *testing.F) {
	f.Add([]byte("some avg10=6.60 avg60=10.86 avg300=15.69 total=6409323597\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"))
	f.Fuzz(func(_ *testing.T, text []byte) { starved(text) })
}

func TestTraced(t *testing.T) {
	for text, want := range map[string]bool{
		"Name:\tx\nPid:\t7\nTracerPid:\t0\nUid:\t0\n": false, "Name:\tx\nTracerPid:\t12\nUid:\t0\n": true, "": false,
		"Name:\tx\nTracerPid:":                  false,
		"Name:\tTracerPid:\t1\nTracerPid:\t0\n": false, "Name:\tx\nTracerPid:\t20": true,
	} {
		if got := traced([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if Held() {
		t.Log("a debugger holds this test")
	}
}
