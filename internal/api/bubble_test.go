package api_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs fn in fake time; pass lets ten seconds go by.
func bubble(t *testing.T, fn func(pass func())) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { fn(func() { time.Sleep(10 * time.Second) }) })
}
