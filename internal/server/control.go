package server

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/vigil-media/vigil/internal/control"
)

// newControl returns the service layer under the API.
func (s *Server) newControl() *control.Control {
	o := control.Options{
		Hub: s.hub, Settings: s.live, Version: builtAs(s.opt.Version), ServerID: s.hooks.ServerID,
		Shards: s.shardLoads, Workers: s.workerLoads, Objects: s.objects,
	}
	if s.opt.Parent != nil {
		o.Restart = s.opt.Parent.Replace
	}
	return control.New(o)
}

// builtAs is what the build says of the program.
func builtAs(version string) control.Version {
	v := control.Version{Name: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Built, _ = time.Parse(time.RFC3339, s.Value)
		}
	}
	return v
}

// shardLoads are those of the goroutines that write to viewers.
func (s *Server) shardLoads() []control.Load {
	var all []control.Load
	for _, p := range s.egress.Progress() {
		all = append(all, control.Load{
			Name: fmt.Sprint("shard ", p.Shard), Busy: p.Busy, Holds: p.Links, Delay: p.Pending, Stalled: p.Pending > time.Second,
		})
	}
	return all
}

// workerLoads are those of what works in the background: disks and hooks.
func (s *Server) workerLoads() []control.Load {
	var all []control.Load
	for _, v := range s.volumes() {
		f := v.Figures()
		all = append(all, control.Load{
			Name: "volume " + f.Name, Busy: float64(f.Running) / volumeWorkers, Holds: f.Waiting + f.Running, Delay: f.Oldest, Stalled: f.State != 0,
		})
	}
	for _, f := range s.hooks.Figures() {
		all = append(all, control.Load{
			Name: "hook " + string(f.Hook), Holds: f.Waiting, Stalled: f.Open,
		})
	}
	return all
}

// volumeWorkers is how many operations a volume works on at a time.
const volumeWorkers = 4

// objects counts what the server is made of.
func (s *Server) objects() control.Objects {
	snapshot := s.hub.Snapshot()
	o := control.Objects{
		Streams: len(snapshot.Streams), Publishers: snapshot.Publishers, Viewers: snapshot.Viewers,
		Listeners: len(s.net.all()), Connections: s.net.admission.Open(),
	}
	for i := range snapshot.Streams {
		o.Rings += 1 + snapshot.Streams[i].Stats.Shares
	}
	return o
}
