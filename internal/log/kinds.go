package log

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	kindsMax      = 512  // that are told apart
	kindsDebug    = 256  // of them of level debug, whose messages may be other people's, and have an address in them
	kindBytesMax  = 256  // of a message, that tell it from others
	kindRate      = 100  // lines of a kind that are logged in a second
	kindBurst     = 1000 // the same, at once
	kindTellEvery = time.Second

	// OtherKind is the kind of what came when there were too many kinds already.
	OtherKind = "other"
)

// Count is what became of the records of one kind: those of one level with the same message. Those below the log's level do not count.
type Count struct {
	Level   slog.Level // debug, info, warn or error
	Kind    string     // the message
	N       uint64     // records, those that were held back included
	Dropped uint64     // of them, those that were held back because there were too many of the kind
}

// kinds tells records apart by level and message, counts them, and holds back floods: of each kind kindBurst lines at once and so
// many a second are let through. Looking a kind up takes no lock.
type kinds struct {
	start    time.Time
	interval int64 // ns between two lines of a kind in the long run; 0: as many as come
	others   [4]kind

	known atomic.Pointer[map[kindKey]*kind] // never changed, but replaced
	mu    sync.Mutex                        // of those who replace it
}

type kindKey struct {
	level slog.Level
	text  string
}

type kind struct {
	n, dropped atomic.Uint64
	due        atomic.Int64 // when the next line would be due, if they came evenly: it may come kindBurst intervals early
	told       uint64       // of dropped, how many the log says there were; of the goroutine that tells
}

// newKinds lets perSecond lines of each kind through; 0 means kindRate, less than 0 all.
func newKinds(perSecond int) *kinds {
	k := &kinds{start: time.Now()}
	if perSecond == 0 {
		perSecond = kindRate
	}
	if perSecond > 0 {
		k.interval = int64(time.Second) / int64(perSecond)
	}
	k.known.Store(&map[kindKey]*kind{})
	return k
}

// admit counts a record and says whether it may be logged. It never waits.
func (k *kinds) admit(level slog.Level, message string) bool {
	one := k.find(level, message)
	one.n.Add(1)
	if k.interval == 0 || one.take(int64(time.Since(k.start)), k.interval) {
		return true
	}
	one.dropped.Add(1)
	return false
}

// take takes a line's place, if there is one.
func (one *kind) take(now, interval int64) bool {
	for {
		due := one.due.Load()
		next := max(due, now) + interval
		if next-now > kindBurst*interval {
			return false
		}
		if one.due.CompareAndSwap(due, next) {
			return true
		}
	}
}

func (k *kinds) find(level slog.Level, message string) *kind {
	key := kindKey{classOf(level), message[:min(len(message), kindBytesMax)]}
	known := *k.known.Load()
	if one := known[key]; one != nil {
		return one
	}
	if len(known) >= kindsMax {
		return k.other(key.level)
	}
	return k.add(key)
}

// add makes a new kind, if there may be one more.
func (k *kinds) add(key kindKey) *kind {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := *k.known.Load()
	if one := known[key]; one != nil {
		return one
	}
	if len(known) >= kindsMax || key.level == slog.LevelDebug && debugs(known) >= kindsDebug {
		return k.other(key.level)
	}
	more, one := maps.Clone(known), &kind{}
	key.text = strings.Clone(key.text)
	more[key] = one
	k.known.Store(&more)
	return one
}

func debugs(known map[kindKey]*kind) (n int) {
	for key := range known {
		if key.level == slog.LevelDebug {
			n++
		}
	}
	return n
}

func (k *kinds) other(class slog.Level) *kind {
	return &k.others[(class-slog.LevelDebug)/(slog.LevelInfo-slog.LevelDebug)]
}

// classOf is the named level that a level counts as.
func classOf(l slog.Level) slog.Level {
	for _, class := range [...]slog.Level{slog.LevelError, slog.LevelWarn, slog.LevelInfo} {
		if l >= class {
			return class
		}
	}
	return slog.LevelDebug
}

// each calls f with all kinds, in no order.
func (k *kinds) each(f func(kindKey, *kind)) {
	for key, one := range *k.known.Load() {
		f(key, one)
	}
	for i := range k.others {
		level := slog.LevelDebug + slog.Level(i)*(slog.LevelInfo-slog.LevelDebug)
		f(kindKey{level, OtherKind}, &k.others[i])
	}
}

// counts lists the kinds there have been, the most severe first, then by message.
func (k *kinds) counts() []Count {
	var all []Count
	k.each(func(key kindKey, one *kind) {
		if n := one.n.Load(); n > 0 {
			all = append(all, Count{key.level, key.text, n, one.dropped.Load()})
		}
	})
	slices.SortFunc(all, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(a.Kind, b.Kind)) })
	return all
}

// tell logs, through to, how many lines were held back of the kind that was cut most since it was last told of. It says whether there
// was one. Only one goroutine may call it.
func (k *kinds) tell(ctx context.Context, to *slog.Logger) bool {
	var worst *kind
	var key kindKey
	count := uint64(0)
	k.each(func(a kindKey, one *kind) {
		if n := one.dropped.Load() - one.told; n > count && to.Enabled(ctx, a.level) {
			worst, key, count = one, a, n
		}
	})
	if worst == nil {
		return false
	}
	worst.told += count
	to.LogAttrs(ctx, key.level, "more lines like this were not logged", slog.String("kind", key.text), slog.Uint64("count", count))
	return true
}

// run tells of one kind a second until ctx ends, and then of all that are left.
func (k *kinds) run(ctx context.Context, to *slog.Logger) {
	t := time.NewTicker(kindTellEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			k.tell(ctx, to)
		case <-ctx.Done():
			for range kindsMax { // others may go on logging
				if !k.tell(ctx, to) {
					return
				}
			}
			return
		}
	}
}

// gate is a handler behind its kinds.
type gate struct {
	slog.Handler
	kinds *kinds
}

// Handle implements slog.Handler.
func (g gate) Handle(ctx context.Context, r slog.Record) error {
	if !g.kinds.admit(r.Level, r.Message) {
		return nil
	}
	return g.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (g gate) WithAttrs(attrs []slog.Attr) slog.Handler {
	return gate{g.Handler.WithAttrs(attrs), g.kinds}
}

// WithGroup implements slog.Handler.
func (g gate) WithGroup(name string) slog.Handler { return gate{g.Handler.WithGroup(name), g.kinds} }
