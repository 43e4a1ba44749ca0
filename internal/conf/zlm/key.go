package zlm

import "slices"

// role says how a key is converted.
type role int

const (
	plain role = iota // by its codec
	host              // the address of all listeners, which stands in each of their settings
	port              // of a listener
	away              // of a listener that does not exist here: it is said to be 0, which is off
)

// Key is a key of ZLMediaKit's configuration, and what it means here.
type Key struct {
	Name    string   // section.key
	Default string   // that is compiled into ZLMediaKit; "" also where that is different on each machine
	Sample  string   // what ZLMediaKit's sample file says; "": the same
	Ours    []string // our dotted keys that it sets; none: it has no effect
	Why     string   // why it has no effect; "" for a key that has one

	role  role
	codec codec // of a plain key with an effect
}

// usual is what a server says that was installed with the sample file.
func (k *Key) usual() string {
	if k.Sample != "" {
		return k.Sample
	}
	return k.Default
}

// isUsual says whether nobody has changed the key.
func (k *Key) isUsual(text string) bool { return text == k.Default || text == k.usual() }

// sample adds what the sample file says.
func (k Key) sample(text string) Key {
	k.Sample = text
	return k
}

// means is a key that has an effect.
func means(name, def string, c codec, ours ...string) Key {
	return Key{Name: name, Default: def, Ours: ours, codec: c}
}

// keeps is a key that has none.
func keeps(name, def, why string) Key { return Key{Name: name, Default: def, Why: why} }

// listens is the port of a listener of ours.
func listens(name, def, ours string) Key {
	return Key{Name: name, Default: def, Ours: []string{ours}, role: port}
}

// absent is the port of a listener that does not exist here.
func absent(name, def, why string) Key { return Key{Name: name, Default: def, Why: why, role: away} }

// Keys lists every key of ZLMediaKit's configuration, section by section. The caller owns the list, and must not change what it points to.
func Keys() []Key { return slices.Clone(table) }

// table is what Keys lists.
//
//nolint:gochecknoglobals // a constant table
var table = slices.Concat(
	apiKeys(), ffmpegKeys(), protocolKeys(), generalKeys(), hlsKeys(), hookKeys(), clusterKeys(), httpKeys(), multicastKeys(), recordKeys(),
	rtmpKeys(), rtpKeys(), proxyKeys(), rtcKeys(), srtKeys(), rtspKeys(), otherKeys(),
)

// byName finds a key of the table.
//
//nolint:gochecknoglobals // a constant table
var byName = func() map[string]*Key {
	m := make(map[string]*Key, len(table))
	for i := range table {
		m[table[i].Name] = &table[i]
	}
	return m
}()
